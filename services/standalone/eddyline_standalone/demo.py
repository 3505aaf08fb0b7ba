"""The demo data: a folder that is filled at the first start, and the settings that point to it."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from eddyline.service.registry import Registration
from eddyline.service.settings import Settings

Say = Callable[[str], None]
Services = Iterable[Registration[Settings]]


def environment(folder: Path, services: Services) -> dict[str, str]:
    """The variables by which every service finds its demo in `folder`, an absolute path."""
    return {
        name: value
        for service in services
        for name, value in service.demo.environment(folder).items()
    }


def set_defaults(variables: Mapping[str, str]) -> None:
    """A variable that is set already stays. An empty one counts as not set, as in settings.py."""
    for name, value in variables.items():
        if not os.environ.get(name):
            os.environ[name] = value


def make(folder: Path, say: Say, services: Services) -> None:
    """Makes each file that is missing as a whole: an interrupted start leaves no half of one."""
    demos = [service.demo for service in services]
    if slow := [about for demo in demos if (about := demo.announce(folder))]:
        say(f"Making demo data in {folder} (once): {', '.join(slow)} ...")
    for demo in demos:
        demo.make(folder)
