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

from eddyline_logs.files.base import File, Identity, UnreadableFile, identity, is_copy
from eddyline_logs.files.compressed import KINDS, CompressedFile
from eddyline_logs.sources.base import unknown
from eddyline_logs.sources.siblings import rotated_names, siblings

#: Looks for a file that is renamed again and again.
_RENAMES = 5

_MAGIC = re.compile(r"[*?[]")


@dataclass(frozen=True, slots=True)
class Rotated:
    """A rotated file of a source, as it was seen."""

    id: str
    path: Path
    status: os.stat_result
    root: Path | None

    def open(self) -> File | None:
        """The file; None where its name was another's meanwhile: the next look finds both."""
        try:
            file = open_file(self.id, self.path, self.root)
        except FileNotFoundError:
            return None
        except PermissionError:
            return UnreadableFile(self.status)
        return expected(file, identity(self.status))

    def is_packed(self, file: File) -> bool:
        """Whether it has the bytes of a file that was compressed and deleted."""
        if self.path.suffix not in KINDS or (packed := self.open()) is None:
            return False
        try:
            return is_copy(file, packed)
        finally:
            packed.close()


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

    @property
    def folder(self) -> Path:
        return self.path.parent

    def open(self) -> File:
        return open_file(self.id, self.path, self.root)

    def exists(self) -> bool:
        try:
            self.open().close()
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

    def first(self) -> File:
        return self.open()

    def next(self, current: File) -> File | None:
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            status = None
        if status is not None and identity(status) == current.identity:
            return None
        # After the look at the name: a file that has lost it meanwhile is among the siblings.
        for sibling in _after(self._rotated(), current):
            if sibling.status.st_size:
                return sibling.open()
        if status is None:
            raise FileNotFoundError(errno.ENOENT, "no successor", self.id)
        # An empty successor has nothing to tell yet, and the old file may still grow.
        return expected(self.open(), identity(status)) if status.st_size else None

    def files(self, inode: int | None = None) -> Generator[File, None, None]:
        with suppress(FileNotFoundError, PermissionError):
            if inode is None or os.stat(self.path).st_ino == inode:
                yield self.open()
        try:
            rotated = self._rotated()
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return
        for sibling in reversed(rotated):
            if inode not in (None, sibling.status.st_ino):
                continue
            if (file := sibling.open() or self._renamed(sibling)) is not None:
                yield file

    def _renamed(self, sibling: Rotated) -> File | None:
        """A file that got another name since it was listed; None where it is gone."""
        known = identity(sibling.status)
        for _ in range(_RENAMES):
            names = [s for s in self._rotated() if identity(s.status) == known]
            if not names:
                return None
            if (file := names[0].open()) is not None:
                return file
        return None

    def _rotated(self) -> list["Rotated"]:
        return [Rotated(self.id, s.path, s.status, self.root) for s in siblings(self.path)]


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
            for file in sorted(set(files) - rotated_names(files)):
                relative = Path(directory, file).relative_to(self.path)
                if self._matches(relative.parts):
                    yield prefix + relative.as_posix()

    def _matches(self, parts: tuple[str, ...]) -> bool:
        if not self.pattern:
            return True
        pairs = zip(parts, self.pattern, strict=False)
        return len(parts) == len(self.pattern) and all(fnmatchcase(a, b) for a, b in pairs)


def open_file(id: str, path: Path, root: Path | None) -> File:
    """Raises FileNotFoundError where the path is no file, or leads out of `root`."""
    # Not blocking, for a pipe would hold the event loop. A file that is not a regular one is
    # closed unread.
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode) or not _holds(root, _path_of(file, path)):
            raise FileNotFoundError(errno.ENOENT, "not a file of this source", id)
    except BaseException:
        os.close(file)
        raise
    unpacker = KINDS.get(path.suffix)
    return File(file) if unpacker is None else CompressedFile(file, unpacker)


def expected(file: File, known: Identity) -> File | None:
    """The file; None where its name was another's meanwhile: the next look finds both."""
    if file.identity == known:
        return file
    file.close()
    return None


def _after(rotated: list[Rotated], current: File) -> list[Rotated]:
    """The files that were written after the one that is held, which may be gone from the folder."""
    same = (n for n, s in enumerate(rotated) if identity(s.status) == current.identity)
    packed = (n for n, s in enumerate(rotated) if s.is_packed(current))
    at = next(same, None)
    if at is None:
        at = next(packed, None)
    if at is not None:
        return rotated[at + 1 :]
    modified = current.status().st_mtime_ns
    return [sibling for sibling in rotated if sibling.status.st_mtime_ns > modified]


def _holds(root: Path | None, real: str) -> bool:
    return root is None or Path(real).is_relative_to(os.path.realpath(root))


def _path_of(file: int, path: Path) -> str:
    """The place of an open file, as far as the system can tell, though symlinks are swapped
    meanwhile.
    """
    try:
        return os.readlink(f"/proc/self/fd/{file}")
    except OSError:
        return os.path.realpath(path)
