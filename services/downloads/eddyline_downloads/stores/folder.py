"""Where the files are: a folder.

Its paths have one spelling each, so that no other spelling gets round a scope.
"""

import errno
import os
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from eddyline.errors import BadRequest, NotFound, Unavailable
from eddyline.responses.file import strong_etag
from eddyline_downloads.http.listing import walk
from eddyline_downloads.http.media import media_type
from eddyline_downloads.stores.beneath import open_beneath
from eddyline_downloads.stores.safe_open import open_cached

#: Why a path is nobody's; whatever else keeps one from being opened is the server's fault.
_ABSENT = frozenset(
    (
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ELOOP,
        errno.EXDEV,
        errno.EINVAL,
        errno.EACCES,
        errno.EPERM,
        errno.ENAMETOOLONG,
        errno.ENXIO,
        errno.ENODEV,
    )
)


class MayRead(Protocol):
    """Whether a path may be shown."""

    def __call__(self, path: str, /) -> bool: ...


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a listing; `cursor` asks for the next, and is None at the end."""

    files: list[dict[str, Any]]
    cursor: str | None


def checked(path: str) -> str:
    """The path; one that has another spelling, or leads upwards, raises BadRequest."""
    if not path or "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise BadRequest(
            f"{path[:200]!r} is not a path: expected names, with single slashes between"
        )
    return path


class FileStore:
    """The regular files beneath a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fault(self) -> str | None:
        """Why there are no files to be had; None where there are."""
        return None if self.folder.is_dir() else "the folder of DOWNLOADS_STORE is not there"

    def open(self, path: str) -> FileIO:
        """The file, open; raises NotFound, in words that tell nothing of the server's own paths."""
        self._ready()
        try:
            return FileIO(open_beneath(self.folder, path), "rb")
        except (OSError, UnicodeEncodeError) as error:
            if isinstance(error, OSError) and error.errno not in _ABSENT:
                raise
            raise NotFound(f"there is no file {path[:200]!r}") from None

    def open_cached(self, path: str) -> FileIO | None:
        """The same without waiting for a disk; None means that it takes `open`, in a thread."""
        try:
            file = open_cached(self.folder, path)
        except UnicodeEncodeError:
            return None
        return None if file is None else FileIO(file, "rb")

    def page(self, prefix: str, after: str, limit: int, may_read: MayRead) -> Page:
        """Files by path, ascending: those that begin with `prefix` and come after `after`."""
        self._ready()
        with closing(walk(self.folder, prefix, after)) as files:
            readable = (_entry(path, status) for path, status in files if may_read(path))
            found = list(islice(readable, limit + 1))
        return Page(found[:limit], found[limit - 1]["path"] if len(found) > limit else None)

    def _ready(self) -> None:
        fault = self.fault()
        if fault is not None:
            raise Unavailable(fault)


def _entry(path: str, status: os.stat_result) -> dict[str, Any]:
    return {
        "path": path,
        "size": status.st_size,
        "modified": datetime.fromtimestamp(status.st_mtime, UTC).isoformat(),
        "etag": strong_etag(status),
        "media_type": media_type(path),
    }
