"""The files of one log in the order in which they are written: rotation makes a chain of them."""

import os
from collections.abc import Generator
from typing import Protocol

from eddyline_logs.reading.cri import Joiner

#: Device and inode: a file keeps them as long as somebody holds it open.
Identity = tuple[int, int]


def identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino


class FileChain(Protocol):
    """The files of a source, for a tail that reads them all.

    Each file is a descriptor, the caller's to close.
    """

    @property
    def interval(self) -> float:
        """Seconds between two looks for a successor."""

    @property
    def joiner(self) -> Joiner | None:
        """The object that joins the partial lines of the file that came last; None where lines
        are whole.
        """

    def first(self, newest: bool) -> int:
        """The newest file, or the oldest; FileNotFoundError where there is none.

        Called until there is one, at each interval: it must not wait for a disk for long.
        """

    def next(self, current: int) -> int | None:
        """The file to read after the open file `current`; None as long as that is still written to.

        Called at the end of `current`, at each interval. Raises FileNotFoundError where `current`
        is gone and has no successor. Files that rotation put between two looks come first.
        """

    def files(self) -> Generator[int, None, None]:
        """All files that can be read, the newest first, each for the caller to close.

        Called where a place is looked for, as after a truncation.
        """


class Followable(Protocol):
    """A source, as far as a tail knows it."""

    @property
    def id(self) -> str: ...

    def chain(self, line_limit: int) -> FileChain:
        """A chain of its own for one tail; `line_limit`, in bytes, is that of joined lines."""
