"""Notices that a database became another one while its rows are read, page by page."""

import hashlib
import os
import sqlite3
import time
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any

from eddyline_records.sources.base import SourceChanged

#: Seconds in which two changes of a file may have one time, by the clock of the file system.
_SETTLED = 0.1

_CHANGED = "the dataset changed while it was read: {}. Ask again, after the last whole row"


def identity(path: Path) -> tuple[int, int]:
    """The file that is at the path now; (0, 0) where there is none."""
    found = _stat(path)
    return (found.st_dev, found.st_ino) if found else (0, 0)


@dataclass(frozen=True, slots=True)
class _State:
    """A database as one read transaction finds it.

    `data` is SQLite's own sign of a commit of others. `traces` are those that such a commit leaves
    in the file system beside the file itself.
    """

    data: int
    file: tuple[int, int]
    written: tuple[int, int]
    wal: bool
    traces: tuple[Any, ...]


@dataclass(slots=True)
class Watch:
    """Of one scan; `file` and `schema` are those that its columns and its key were read with.

    `since`: the `state` of an earlier scan that this one goes on with.
    """

    path: Path
    file: tuple[int, int]
    schema: int
    since: str | None = None
    #: That of the first page, or `since`: scans that go on with it learn of all changes.
    state: str | None = field(default=None, init=False)
    #: Whether others committed between two pages: the rows are of more than one state then.
    changed: bool = False
    _last: _State | None = field(default=None, init=False)

    def enter(self, connection: sqlite3.Connection) -> None:
        """Call it in a read transaction, before the rows. Raises SourceChanged."""
        if self._last is None:
            # Before the transaction's first read: a commit in between is another state then.
            now = _written_state(self.path)
            self.state = now if self.since is None else self.since
            self.changed = now != self.state
        if schema_version(connection) != self.schema:
            raise SourceChanged(_CHANGED.format("it has another schema"))
        state, last = self._look(connection), self._last
        if last is None and state.file != self.file:
            raise SourceChanged(_CHANGED.format("its file was replaced"))
        if state.file != self.file:
            # The old file is read to its end; but its log has the name of the new file's.
            if state.wal:
                raise SourceChanged(_CHANGED.format("its file was replaced"))
        elif last is not None and _overwritten(last, state):
            raise SourceChanged(_CHANGED.format("its file was overwritten in place"))
        self.changed |= last is not None and state.data != last.data
        self._last = state

    def leave(self) -> None:
        """Call it in the same transaction, after the rows. Raises SourceChanged.

        SQLite writes no file that is being read, unless it moves pages out of a write-ahead log.
        """
        last, found = self._last, _stat(self.path)
        if last is None or last.wal or found is None or identity(self.path) != last.file:
            return
        if (found.st_size, found.st_mtime_ns) != last.written and not _wal(self.path):
            raise SourceChanged(_CHANGED.format("its file was overwritten in place"))

    def _look(self, connection: sqlite3.Connection) -> _State:
        [data] = connection.execute("PRAGMA data_version").fetchone()
        found = _stat(self.path)
        written = (found.st_size, found.st_mtime_ns) if found else (0, 0)
        file = (found.st_dev, found.st_ino) if found else (0, 0)
        return _State(data, file, written, _wal(self.path), _traces(self.path))


def schema_version(connection: sqlite3.Connection) -> int:
    """A number that each change of a database's schema makes another one."""
    [version] = connection.execute("PRAGMA main.schema_version").fetchone()
    return int(version)


def _overwritten(last: _State, now: _State) -> bool:
    """Whether the file was written by other means than a commit, such as `cp`.

    A commit changes the data's version, and a journal: that comes and goes in the folder, or stays.
    """
    if now.written == last.written or now.wal or last.wal:
        return False
    return now.data == last.data or now.traces == last.traces


def _written_state(path: Path) -> str:
    found = [_stat(path), _stat(Path(f"{path}-wal"))]
    times = [each.st_mtime for each in found if each is not None]
    if not times or time.time() - max(times) < _SETTLED:
        return token_hex(8)  # unequal to all others
    parts = [(each.st_size, each.st_mtime_ns) for each in found if each is not None]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _traces(path: Path) -> tuple[Any, ...]:
    folder, journal = _stat(path.parent), _stat(Path(f"{path}-journal"))
    if folder is None or time.time() - folder.st_mtime < _SETTLED:
        return (object(),)  # unequal to all others
    return (folder.st_mtime_ns, journal and (journal.st_size, journal.st_mtime_ns))


def _wal(path: Path) -> bool:
    """Whether there is a write-ahead log with pages in it."""
    found = _stat(Path(f"{path}-wal"))
    return found is not None and found.st_size > 0


def _stat(path: Path) -> os.stat_result | None:
    # Never open the file: closing it would drop SQLite's locks of all connections of this process
    # (https://www.sqlite.org/howtocorrupt.html, 2.2).
    try:
        return path.stat()
    except OSError:
        return None
