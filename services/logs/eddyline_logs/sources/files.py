"""Sources: which files may be read, and under which names. A client never names a path.

An item of `LOGS_SOURCES` is one of
- `directory`: its files, each named by its path in it (`app.log`);
- `name=path`: one file, named `name`; or a directory, its files named `name/app.log`;
- `name=glob`: the files that match, named `name/` and their path below the glob's fixed part;
- `name=cri:directory`: the containers of a node's pods, named `name/namespace/pod/container`.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol, Self

from eddyline.errors import NotFound
from eddyline_logs.sources.base import FileSource, Source, unknown
from eddyline_logs.sources.pods import Pods

_NAME = re.compile(r"[A-Za-z0-9._-]+\Z")
_MAGIC = re.compile(r"[*?[]")

#: Files that a listing looks at.
_LISTED = 10_000


class Item(Protocol):
    """One item of the setting."""

    @property
    def name(self) -> str: ...

    def find(self, id: str) -> Source | None:
        """The source of that name, whether or not its file is there; None where it has none."""

    def list(self) -> Iterator[str]:
        """The names of what is there, some of them perhaps more than once."""


@dataclass(frozen=True, slots=True)
class Files:
    """A file, a directory or a glob. Without a name: a directory, its files named as they are."""

    name: str
    path: Path
    pattern: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str, name: str, path: str) -> Self:
        parts = Path(path).parts
        fixed = next((n for n, part in enumerate(parts) if _MAGIC.search(part)), len(parts))
        if (fixed < len(parts) and not name) or "**" in parts:
            raise ValueError(f"{text!r}: a glob is given as `name=glob`, without `**`")
        return cls(name, Path(*parts[:fixed]), parts[fixed:])

    def find(self, id: str) -> FileSource | None:
        if id == self.name and not self.pattern:
            return FileSource(id, self.path, None)
        prefix = f"{self.name}/" if self.name else ""
        parts = tuple(id.removeprefix(prefix).split("/"))
        if not id.startswith(prefix) or not self._matches(parts):
            return None
        return FileSource(id, self.path.joinpath(*parts), self.path)

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
        items = [_item(item) for part in text.split(",") if (item := part.strip())]
        if not items:
            raise ValueError("expected at least one directory, name=path or name=glob")
        return cls(items)

    def find(self, id: str) -> Source:
        """The source of that name, whether or not its file is there yet; NotFound where it can be
        none.
        """
        if "\0" in id or any(part in ("", ".", "..") for part in id.split("/")):
            raise unknown(id)
        found = [source for item in self._items if (source := item.find(id)) is not None]
        if not found:
            raise unknown(id)
        return next((source for source in found if source.taken()), found[0])

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


def _item(text: str) -> Item:
    name, equals, path = text.partition("=")
    if not equals:
        name, path = "", text
    elif not _NAME.match(name):
        raise ValueError(f"{name!r} is not a name: expected letters, digits, `.`, `_`, `-`")
    folder = path.removeprefix("cri:")
    if not folder:
        raise ValueError(f"{text!r} names no path")
    if folder == path:
        return Files.parse(text, name, path)
    if _MAGIC.search(folder):
        raise ValueError(f"{text!r}: after `cri:` there is one directory, without a glob")
    return Pods(name, Path(folder))
