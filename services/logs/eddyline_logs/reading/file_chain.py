"""The files of one log in the order in which they are written: rotation makes a chain of them."""

from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Protocol

from eddyline_logs.files.base import File
from eddyline_logs.files.place import Place, Spot
from eddyline_logs.lines.cri import Joiner


class FileChain(Protocol):
    """The files of a source, for a tail that reads them all; each is the caller's to close."""

    @property
    def interval(self) -> float:
        """Seconds between two looks for a successor."""

    @property
    def joiner(self) -> Joiner | None:
        """The object that joins the partial lines of the file that came last; None where lines
        are whole.
        """

    def first(self) -> File:
        """The newest file; FileNotFoundError where there is none.

        Called until there is one, at each interval: it must not wait for a disk for long.
        """

    def next(self, current: File) -> File | None:
        """The file to read after the open file `current`; None as long as that is still written to.

        Called at the end of `current`, at each interval. Raises FileNotFoundError where `current`
        is gone and has no successor. Files that rotation put between two looks come first, be they
        compressed by now.
        """

    def files(self, inode: int | None = None) -> Generator[File, None, None]:
        """All files that can be read, or those of this inode, the newest first, each for the caller
        to close.

        Called where a place is looked for, as after a truncation.
        """


class Followable(Protocol):
    """A source, as far as a tail knows it."""

    @property
    def id(self) -> str: ...

    @property
    def folder(self) -> Path | None:
        """The folder in which all of its files come and go; None where there is no such one."""

    def chain(self, line_limit: int) -> FileChain:
        """A chain of its own for one tail; `line_limit`, in bytes, is that of joined lines."""


def find(chain: FileChain, spot: Spot) -> File | None:
    """The file of a spot, for the caller to close: by its inode, or else a copy of its bytes, which
    may be compressed; None where there is none. Reads: it blocks the thread.
    """
    # A place before any byte is in each file: then the inode decides.
    return _first(chain, spot, same=True) or (
        _first(chain, spot, same=False) if spot.offset else None
    )


def _first(chain: FileChain, spot: Spot, *, same: bool) -> File | None:
    with closing(chain.files(spot.inode if same else None)) as files:
        for file in files:
            if (file.identity[1] == spot.inode) is same and spot.is_in(file):
                return file
            file.close()
    return None


def successor(chain: FileChain, place: Place) -> File | None:
    """The oldest file that was written to after the place, whose own file is gone."""
    oldest = None
    for file in chain.files():
        later = file.status().st_mtime_ns > place.modified
        superseded = oldest if later else file
        oldest = file if later else oldest
        if superseded is not None:
            superseded.close()
    return oldest
