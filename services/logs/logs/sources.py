"""Sources: which files may be read, and under which names. A client never names a path.

An item of `LOGS_SOURCES` is one of
- `directory`: its files, each named by its path in it (`app.log`);
- `name=path`: one file, named `name`; or a directory, its files named `name/app.log`;
- `name=glob`: the files that match, named `name/` and their path below the glob's fixed part.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Self

from streaming.errors import NotFound

_NAME = re.compile(r"[A-Za-z0-9._-]+\Z")
_MAGIC = re.compile(r"[*?[]")

#: Files that a listing looks at.
_LISTED = 10_000


@dataclass(frozen=True, slots=True)
class Source:
    """A file that may be there. `root`: the directory that it must not lead out of; None where it
    may lie anywhere.
    """

    id: str
    path: Path
    root: Path | None

    def open(self) -> int:
        """A file descriptor for reading; FileNotFoundError where there is nothing that may be
        read.
        """
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
        """Whether it is there now; NotFound where it is something that is never served."""
        try:
            os.close(self.open())
        except FileNotFoundError:
            if os.path.lexists(self.path):
                raise _unknown(self.id) from None
            return False
        except PermissionError:
            return True
        except OSError:
            raise _unknown(self.id) from None
        return True

    def _holds(self, real: str) -> bool:
        return self.root is None or Path(real).is_relative_to(os.path.realpath(self.root))


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the setting. Without a name: a directory whose files are named as they are."""

    name: str
    path: Path
    pattern: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        name, equals, path = text.partition("=")
        if not equals:
            name, path = "", text
        elif not _NAME.match(name):
            raise ValueError(f"{name!r} is not a name: expected letters, digits, `.`, `_`, `-`")
        if not path:
            raise ValueError(f"{text!r} names no path")
        parts = Path(path).parts
        fixed = next((n for n, part in enumerate(parts) if _MAGIC.search(part)), len(parts))
        if (fixed < len(parts) and not name) or "**" in parts:
            raise ValueError(f"{text!r}: a glob is given as `name=glob`, without `**`")
        return cls(name, Path(*parts[:fixed]), parts[fixed:])

    def find(self, id: str) -> Source | None:
        if id == self.name and not self.pattern:
            return Source(id, self.path, None)
        prefix = f"{self.name}/" if self.name else ""
        parts = tuple(id.removeprefix(prefix).split("/"))
        if not id.startswith(prefix) or not self._matches(parts):
            return None
        return Source(id, self.path.joinpath(*parts), self.path)

    def list(self) -> Iterator[str]:
        if self.path.is_file():
            yield self.name
        prefix = f"{self.name}/" if self.name else ""
        for directory, folders, files in os.walk(self.path):
            folders.sort()
            for file in sorted(files):
                relative = Path(directory, file).relative_to(self.path)
                if self._matches(relative.parts):
                    yield prefix + relative.as_posix()

    def _matches(self, parts: tuple[str, ...]) -> bool:
        if not self.pattern:
            return True
        pairs = zip(parts, self.pattern, strict=False)
        return len(parts) == len(self.pattern) and all(fnmatchcase(a, b) for a, b in pairs)


class Sources:
    """All items. Where two have files of one name, named items come before bare directories."""

    def __init__(self, items: list[Item]) -> None:
        self._items = sorted(items, key=lambda item: not item.name)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError that names the item."""
        items = [Item.parse(item) for part in text.split(",") if (item := part.strip())]
        if not items:
            raise ValueError("expected at least one directory, name=path or name=glob")
        return cls(items)

    def find(self, id: str) -> Source:
        """The source of that name, whether or not its file is there yet; NotFound where it can be
        none.
        """
        if "\0" in id or any(part in ("", ".", "..") for part in id.split("/")):
            raise _unknown(id)
        found = [source for item in self._items if (source := item.find(id)) is not None]
        if not found:
            raise _unknown(id)
        return next((source for source in found if os.path.lexists(source.path)), found[0])

    def list(self) -> list[Source]:
        """The files that are there. Walks directories: call it in a thread."""
        ids = dict.fromkeys(id for item in self._items for id in item.list() if id.isprintable())
        found = (self.find(id) for id in list(ids)[:_LISTED])
        return [source for source in found if _served(source)]


def _served(source: Source) -> bool:
    try:
        return source.exists()
    except NotFound:
        return False


def _unknown(id: str) -> NotFound:
    return NotFound(f"there is no source {id[:200]!r}: GET /logs lists them")


def _path_of(file: int, path: Path) -> str:
    """Where an open file really is, whatever symlinks are swapped meanwhile, as far as the system
    can tell.
    """
    try:
        return os.readlink(f"/proc/self/fd/{file}")
    except OSError:
        return os.path.realpath(path)
