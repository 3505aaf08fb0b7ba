"""A source: what has a name, and its file at this moment."""

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from eddyline.errors import NotFound
from eddyline_logs.sources.cri import Joiner

#: Device and inode: a file is itself as long as somebody holds it open.
Identity = tuple[int, int]


class Trail(Protocol):
    """The files of a source in the order in which they are written, for one who reads them all.

    A file is a descriptor, the caller's to close.
    """

    @property
    def interval(self) -> float:
        """Seconds between two looks for a successor."""

    @property
    def joiner(self) -> Joiner | None:
        """What joins the partial lines of the file that came last; None where lines are whole."""

    def first(self, newest: bool) -> int:
        """The newest file, or the oldest; FileNotFoundError where there is none."""

    def next(self, current: Identity) -> int | None:
        """The file to read after `current`; None where that is still the one, FileNotFoundError
        where it is gone and has no successor.
        """


class Source(Protocol):
    """What can be read under a name."""

    @property
    def id(self) -> str: ...

    @property
    def cri(self) -> bool:
        """Whether its lines are CRI's: with a time and a stream."""

    def open(self) -> int:
        """A descriptor of its newest file; FileNotFoundError where there is nothing that may be
        read.
        """

    def exists(self) -> bool:
        """Whether it is there now; NotFound where it is something that is never served."""

    def taken(self) -> bool:
        """Whether something has its place, be it served or not."""

    def trail(self, line_limit: int) -> Trail: ...


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file that may be there, and is its own trail: each file of that name follows the last.

    `root`: the directory that it must not lead out of; None where it may lie anywhere.
    """

    id: str
    path: Path
    root: Path | None
    cri = False
    interval = 0.0
    joiner = None

    def open(self) -> int:
        # Not blocking, for a pipe would hold the event loop; what is no regular file is closed
        # unread.
        file = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode) or not self._holds(
                _path_of(file, self.path)
            ):
                raise FileNotFoundError(errno.ENOENT, "not a file of this source", self.id)
        except BaseException:
            os.close(file)
            raise
        return file

    def exists(self) -> bool:
        try:
            os.close(self.open())
        except FileNotFoundError:
            if self.taken():
                raise unknown(self.id) from None
            return False
        except PermissionError:
            return True
        except OSError:
            raise unknown(self.id) from None
        return True

    def taken(self) -> bool:
        return os.path.lexists(self.path)

    def trail(self, line_limit: int) -> "FileSource":
        return self

    def first(self, newest: bool) -> int:
        return self.open()

    def next(self, current: Identity) -> int | None:
        status = os.stat(self.path)
        # An empty successor has nothing to tell yet, and the old file may still grow.
        if identity(status) == current or status.st_size == 0:
            return None
        return self.open()

    def _holds(self, real: str) -> bool:
        return self.root is None or Path(real).is_relative_to(os.path.realpath(self.root))


def identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino


def unknown(id: str) -> NotFound:
    return NotFound(f"there is no source {id[:200]!r}: GET /logs lists them")


def _path_of(file: int, path: Path) -> str:
    """Where an open file really is, whatever symlinks are swapped meanwhile, as far as the system
    can tell.
    """
    try:
        return os.readlink(f"/proc/self/fd/{file}")
    except OSError:
        return os.path.realpath(path)
