"""The files that rotation has put beside a log, in the order in which they were written."""

import heapq
import os
import re
import stat
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from eddyline_logs.files.base import Identity, identity
from eddyline_logs.files.compressed import KINDS

#: `app.log.1`, `app.log-20261128`, `app.log.2026-11-28_10`.
_ROTATED = re.compile(r"[._-](?:\d{1,5}|\d{6,8}[\dTZ:._-]*|\d{4}-\d\d[\dTZ:._-]*)\Z")

#: `app-2026-11-28.log`: a date alone, for `app-2.log` may be the log of another process.
_DATED = re.compile(r"[._-]\d{4}-?\d\d-?\d\d[\dTZ:._-]*\Z")

#: The most digits that count rotations; more are a date.
_COUNTED = 5

#: Listings until two agree, while files are renamed.
_LISTINGS = 5


class Sibling(NamedTuple):
    """`numbers` stand in its name: a count of rotations, or the parts of a date."""

    path: Path
    status: os.stat_result
    numbers: tuple[int, ...]
    counted: bool
    #: The digits of each number: names of two schemes, as a time and a count, have no order.
    digits: tuple[int, ...]


def siblings(path: Path) -> list[Sibling]:
    """The rotated files beside `path`, the oldest first; FileNotFoundError without the folder.

    The order is that of their names: a late line changes the time of a file.
    """
    found = _list(path)
    for _ in range(_LISTINGS):
        # A listing is no moment in time: a file that is renamed meanwhile may be in none of it.
        again = _list(path)
        if again.keys() == found.keys():
            break
        found = again
    counted = [sibling for sibling in found.values() if sibling.counted]
    plain = _by_count([sibling for sibling in counted if not _is_packed(sibling)])
    packed = _by_count([sibling for sibling in counted if _is_packed(sibling)])
    dated = [sibling for sibling in found.values() if not sibling.counted]
    dated.sort(key=lambda sibling: (sibling.numbers, not _is_packed(sibling)))
    schemes: dict[tuple[int, ...], list[Sibling]] = {}
    for sibling in dated:
        schemes.setdefault(sibling.digits, []).append(sibling)
    orders = (packed, plain, *schemes.values())
    # A tool that was configured anew gives other names, and counts those it gave no further.
    return list(heapq.merge(*orders, key=lambda sibling: sibling.status.st_mtime_ns))


def rotated_names(names: list[str]) -> set[str]:
    """Those of the names in a folder that are rotated files of others."""
    logs = set(names)
    return {name for name in names if any(log in logs for log in _logs_of(_plain(name)))}


def _logs_of(name: str) -> Iterator[str]:
    """The logs that a file of that name can be a rotated one of."""
    suffix = Path(name).suffix
    for match in re.finditer(r"[._-](?=\d)", name):
        for log in (name[: match.start()], name[: match.start()] + suffix):
            if log not in ("", name) and _numbers(Path(log), name) is not None:
                yield log


def _list(path: Path) -> dict[tuple[Identity, str], Sibling]:
    found: dict[str, Sibling] = {}
    for name in os.listdir(path.parent):
        if (numbers := _numbers(path, _plain(name))) is None:
            continue
        sibling = path.with_name(name)
        try:
            status = os.lstat(sibling)
        except FileNotFoundError:
            continue  # renamed this moment
        if stat.S_ISREG(status.st_mode):
            counted = len(numbers) == 1 and len(numbers[0]) <= _COUNTED
            # `_9` and `_10` are of one scheme.
            digits = tuple(max(len(number), _COUNTED) for number in numbers)
            found[name] = Sibling(sibling, status, tuple(map(int, numbers)), counted, digits)
    return {(identity(s.status), name): s for name, s in found.items() if not _is_made(found, s)}


def _is_made(found: dict[str, Sibling], packed: Sibling) -> bool:
    """Whether a file is being compressed: both are there, and the plain one is whole."""
    name = packed.path.name
    plain = found.get(_plain(name), packed)
    return plain is not packed and packed.status.st_mtime_ns >= plain.status.st_mtime_ns


def _plain(name: str) -> str:
    """The name without the end that says how the file is compressed."""
    stem, suffix = os.path.splitext(name)
    return stem if suffix in KINDS else name


def _is_packed(sibling: Sibling) -> bool:
    return sibling.path.suffix in KINDS


def _numbers(path: Path, name: str) -> list[str] | None:
    """The digits that rotation has put into the name; None for any other file."""
    if name.startswith(path.name) and _ROTATED.match(name[len(path.name) :]):
        return re.findall(r"\d+", name[len(path.name) :])
    stem = name.removesuffix(path.suffix)
    dated = path.suffix and name.endswith(path.suffix) and stem.startswith(path.stem)
    if dated and _DATED.match(stem[len(path.stem) :]):
        return re.findall(r"\d+", stem[len(path.stem) :])
    return None


def _by_count(counted: list[Sibling]) -> list[Sibling]:
    """Most tools give the newest file the lowest number, and some the highest: the times tell,
    where all of them agree. One file that is late does not turn the order.
    """
    counted.sort(key=lambda sibling: sibling.numbers)
    times = [sibling.status.st_mtime_ns for sibling in counted]
    ascending = len(times) > 2 and all(a < b for a, b in pairwise(times))
    return counted if ascending else counted[::-1]
