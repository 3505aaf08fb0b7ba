"""The files that rotation has put beside a log, in the order in which they were written."""

import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

#: `app.log.1`, `app.log-20261128`, `app.log.2026-11-28_10`. Compressed files are none: their bytes
#: are others.
_ROTATED = re.compile(r"[._-](?:(\d{1,5})|\d{6,8}[\dTZ:._-]*|\d{4}-\d\d[\dTZ:._-]*)\Z")

#: `app-2026-11-28.log`: a date alone, for `app-2.log` may be the log of another process.
_DATED = re.compile(r"[._-]\d{4}-?\d\d-?\d\d[\dTZ:._-]*\Z")


class Sibling(NamedTuple):
    """Sorts in the order of writing: numbers break ties of the clock, the highest is the oldest."""

    modified: int
    number: int
    path: Path
    status: os.stat_result


def siblings(path: Path) -> list[Sibling]:
    """The rotated files beside `path`, the oldest first; FileNotFoundError without the folder."""
    found = []
    for name in os.listdir(path.parent):
        if (number := _number(path, name)) is not None:
            sibling = path.with_name(name)
            try:
                status = os.lstat(sibling)
            except FileNotFoundError:
                continue  # renamed this moment; the next look finds it
            if stat.S_ISREG(status.st_mode):
                found.append(Sibling(status.st_mtime_ns, -number, sibling, status))
    return sorted(found)


def _number(path: Path, name: str) -> int | None:
    """The number of a rotated file, 0 where it has a date; None for any other file."""
    if name.startswith(path.name) and (match := _ROTATED.match(name[len(path.name) :])):
        return int(match[1] or 0)
    stem = name.removesuffix(path.suffix)
    dated = name.endswith(path.suffix) and stem.startswith(path.stem)
    return 0 if dated and _DATED.match(stem[len(path.stem) :]) else None
