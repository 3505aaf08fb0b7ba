"""Sources of log lines: the part that others may implement."""

from collections.abc import Iterator
from typing import Protocol

from eddyline.errors import NotFound
from eddyline_logs.files.base import File
from eddyline_logs.reading.file_chain import Followable


class Source(Followable, Protocol):
    """A log that can be read under a name. Its methods run in the event loop, and are quick."""

    @property
    def cri(self) -> bool:
        """Whether its lines are CRI's: with a time and a stream."""

    def open(self) -> File:
        """Its newest file, the caller's to close.

        Called for a client that wants the last lines without following. Raises FileNotFoundError
        where there is no file that may be read, and other errors of OSError.
        """

    def exists(self) -> bool:
        """Whether there is a file now, readable or not.

        Called for each client. Raises NotFound where the name is that of a thing which is never
        served, such as a folder or a pipe.
        """

    def taken(self) -> bool:
        """Whether the name is in use, be it served or not.

        Called where two items know the name: the first that says so has it.
        """


class Item(Protocol):
    """One item of LOGS_SOURCES: a source, or many of a kind."""

    @property
    def name(self) -> str:
        """The name before the `=`; empty where there is none."""

    def find(self, id: str) -> Source | None:
        """The source of that name, whether or not its file is there; None where the item can have
        no such source.

        Called for each client. `id` has no empty part, no `.` and no `..` between its slashes.
        """

    def list(self) -> Iterator[str]:
        """The names of the sources that are there, some of them perhaps more than once.

        Called in a thread: it may wait for a disk.
        """


def unknown(id: str) -> NotFound:
    return NotFound(f"there is no source {id[:200]!r}: GET /logs lists them")
