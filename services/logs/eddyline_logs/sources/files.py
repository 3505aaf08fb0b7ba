"""Files: one by its name, those of a directory, or those that match a glob."""

import errno
import os
import re
import stat
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Self

from eddyline_logs.reading.file_chain import identity
from eddyline_logs.sources.base import unknown
from eddyline_logs.sources.siblings import Sibling, siblings

_MAGIC = re.compile(r"[*?[]")


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file that may be there, and is its own chain: rotated files lie beside it.

    `root`: the directory that it must not lead out of; None where it may lie anywhere.
    """

    id: str
    path: Path
    root: Path | None
    cri = False
    interval = 0.0
    joiner = None

    def open(self) -> int:
        # Not blocking, for a pipe would hold the event loop. A file that is not a regular one is
        # closed unread.
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

    def chain(self, line_limit: int) -> "FileSource":
        return self

    def first(self, newest: bool) -> int:
        return self.open()

    def next(self, current: int) -> int | None:
        status, held = os.stat(self.path), os.fstat(current)
        if identity(status) == identity(held):
            return None
        for sibling in _after(siblings(self.path), held):
            if sibling.status.st_size and (file := self._open_sibling(sibling)) is not None:
                return file
        # An empty successor has nothing to tell yet, and the old file may still grow.
        return self.open() if status.st_size else None

    def files(self) -> Generator[int, None, None]:
        with suppress(FileNotFoundError, PermissionError):
            yield self.open()
        for sibling in reversed(_siblings_now(self.path)):
            if (file := self._open_sibling(sibling)) is not None:
                yield file

    def _open_sibling(self, sibling: Sibling) -> int | None:
        """The descriptor; None where it can't be read, or another file has the name by now."""
        try:
            file = FileSource(self.id, sibling.path, self.root).open()
        except (FileNotFoundError, PermissionError):
            return None
        if identity(os.fstat(file)) != identity(sibling.status):
            os.close(file)
            return None
        return file

    def _holds(self, real: str) -> bool:
        return self.root is None or Path(real).is_relative_to(os.path.realpath(self.root))


@dataclass(frozen=True, slots=True)
class Files:
    """A file, a directory or a glob. Without a name: a directory, its files named as they are."""

    name: str
    path: Path
    pattern: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str, name: str, path: str) -> Self:
        """Raises ValueError; `text` is the whole item, for its words."""
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


def _after(rotated: list[Sibling], held: os.stat_result) -> list[Sibling]:
    """The files that were written after the one that is held, which may be gone from the folder."""
    for at, sibling in enumerate(rotated):
        if identity(sibling.status) == identity(held):
            return rotated[at + 1 :]
    return [sibling for sibling in rotated if sibling.modified > held.st_mtime_ns]


def _siblings_now(path: Path) -> list[Sibling]:
    try:
        return siblings(path)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def _path_of(file: int, path: Path) -> str:
    """The place of an open file, as far as the system can tell, though symlinks are swapped
    meanwhile.
    """
    try:
        return os.readlink(f"/proc/self/fd/{file}")
    except OSError:
        return os.path.realpath(path)
