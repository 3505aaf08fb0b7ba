"""The place that files are served from: the part that others may implement."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import FileIO
from typing import Protocol

from eddyline.errors import BadRequest, NotFound
from eddyline.files.version import FileVersion


class MayRead(Protocol):
    """Whether a path may be shown to the client that asks."""

    def __call__(self, path: str, /) -> bool: ...


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file of a listing: `version` is that of the file that `open` opens."""

    path: str
    version: FileVersion


@dataclass(frozen=True, slots=True)
class ListingPage:
    """A part of a listing; `cursor` asks for the next part, and is None at the end."""

    files: Sequence[ListedFile]
    cursor: str | None


class Store(Protocol):
    """Files by path. A path is one that `checked` lets pass, and nothing more is known of it."""

    def fault(self) -> str | None:
        """The reason why no file can be had now; None where files can be had.

        Called for each `GET /readyz`, in the event loop: it must not wait. Its words are shown to
        clients.
        """

    async def open(self, path: str) -> FileIO:
        """The file, open for reading. Its inode and its times are those of its content: another
        content has others, and the same content has the same at each call.

        Called once for each download, after the client's right to read `path` is known. The caller
        closes the file. Raises NotFound, in words that tell nothing of the server's own paths, and
        Unavailable while there is a `fault`.
        """

    async def page(self, prefix: str, after: str, limit: int, may_read: MayRead) -> ListingPage:
        """At most `limit` files, ascending by path: those that begin with `prefix`, come after
        `after`, and may be read.

        `after` is any text: the cursor of the page before, as a rule. Raises Unavailable while
        there is a `fault`.
        """


def checked(path: str) -> str:
    """The path, if it is the only spelling of itself; raises BadRequest.

    A second spelling of a path would get round a scope that names the first.
    """
    if not path or "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise BadRequest(
            f"{path[:200]!r} is not a path: expected names, with single slashes between"
        )
    return path


def is_hidden(path: str) -> bool:
    """Whether a name in the path begins with a dot, as `.env` and `.git/config` do.

    No store opens or lists such a path.
    """
    return path.startswith(".") or "/." in path


def absent(path: str) -> NotFound:
    return NotFound(f"there is no file {path[:200]!r}")
