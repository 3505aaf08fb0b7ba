"""The demo data: a folder that is filled at the first start, and the settings that point to it."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from eddyline_downloads.demo import make_files
from eddyline_records.demo import make_users

Say = Callable[[str], None]


def environment(folder: Path) -> dict[str, str]:
    """The variables by which every service finds its demo in `folder`, an absolute path."""
    return {
        "DOWNLOADS_STORE": (folder / "files").as_uri(),
        "EVENTS_DEMO": "1",
        "LOGS_DEMO": str(_log(folder)),
        "LOGS_SOURCES": f"app.log={_log(folder)}",
        "RECORDS_DEMO": str(_users(folder)),
    }


def set_defaults(variables: Mapping[str, str]) -> None:
    """What is set already stays. An empty variable counts as not set, as in settings.py."""
    for name, value in variables.items():
        if not os.environ.get(name):
            os.environ[name] = value


def make(folder: Path, say: Say) -> None:
    """Makes what is missing, each file as a whole: an interrupted start leaves no half of one."""
    if not _users(folder).exists():
        say(f"Making demo data in {folder} (once): files, and 1,000,000 users ...")
    make_files(folder / "files")
    make_users(_users(folder))


def _log(folder: Path) -> Path:
    return folder / "logs" / "app.log"


def _users(folder: Path) -> Path:
    return folder / "users.db"
