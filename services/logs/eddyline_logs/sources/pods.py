"""The logs of a node's pods, where the kubelet keeps them: each container is a source.

`<namespace>_<pod>_<uid>/<container>/<restarts>.log`. The kubelet rotates by rename, `0.log` to
`0.log.20261124-110000`, and compresses the files that it rotated before. A container that is
started again has the next number, a pod that is made again under its name another uid.
"""

import errno
import os
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import NamedTuple, Self

from eddyline_logs.files.base import File, identity
from eddyline_logs.lines.cri import Joiner
from eddyline_logs.sources.base import unknown
from eddyline_logs.sources.files import Rotated, open_file

_FOLDER = re.compile(r"([^_]+)_([^_]+)_[^_]+\Z")
_FILE = re.compile(r"([0-9]{1,9})\.log(?:\.([0-9]{8}-[0-9]{6})(?:\.gz)?)?\Z")
_MAGIC = re.compile(r"[*?[]")
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,252}\Z")

#: Stands for the time of the rotation of a file that was not rotated: it sorts after all times.
_NOT_ROTATED = "~"

#: Number of the pod of that name, number of the container's start, time of the rotation: ascends
#: in the order of writing.
_Place = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Pods:
    """The containers of the pods beneath a directory: `name=cri:directory`."""

    name: str
    root: Path

    @classmethod
    def parse(cls, text: str, name: str, path: str) -> Self:
        """Raises ValueError; `text` is the whole item, for its words."""
        if _MAGIC.search(path):
            raise ValueError(f"{text!r}: after `cri:` there is one directory, without a glob")
        return cls(name, Path(path))

    def find(self, id: str) -> "Container | None":
        prefix = f"{self.name}/" if self.name else ""
        parts = id.removeprefix(prefix).split("/")
        if not id.startswith(prefix) or len(parts) != 3 or not all(map(_NAME.match, parts)):
            return None
        return Container(id, self.root, *parts)

    def list(self) -> Iterator[str]:
        prefix = f"{self.name}/" if self.name else ""
        for folder in sorted(_names(self.root)):
            if (match := _FOLDER.match(folder)) is not None:
                for container in sorted(_names(self.root / folder)):
                    id = f"{prefix}{match[1]}/{match[2]}/{container}"
                    if self.find(id) is not None:
                        yield id


class _File(NamedTuple):
    place: _Place
    path: Path
    status: os.stat_result


@dataclass(frozen=True, slots=True)
class Container:
    """A container by its names: the same one however often it, or its pod, is made again."""

    id: str
    root: Path
    namespace: str
    pod: str
    name: str
    cri = True
    folder = None

    def open(self) -> File:
        return self.chain(0).first()

    def exists(self) -> bool:
        try:
            self.open().close()
        except FileNotFoundError:
            return False
        except PermissionError:
            pass
        except OSError:
            raise unknown(self.id) from None
        return True

    def taken(self) -> bool:
        return self.exists()

    def chain(self, line_limit: int) -> "ContainerChain":
        return ContainerChain(self, line_limit)

    def folders(self) -> list[str]:
        """The folders of all pods of that name, in no order."""
        prefix = f"{self.namespace}_{self.pod}_"
        return [name for name in _names(self.root) if name.startswith(prefix)]

    def files(self, folder: str) -> Iterator[tuple[int, str, Path, os.stat_result]]:
        """Its files in a pod's folder, in no order: number of the start, time of the rotation,
        path, status.
        """
        path = self.root / folder / self.name
        names = _names(path)
        for name in names:
            # While a file is being compressed, both are there, and the plain one is whole.
            plain = name.removesuffix(".gz")
            if (match := _FILE.match(name)) is not None and (plain == name or plain not in names):
                try:
                    status = os.stat(path / name)
                except FileNotFoundError:
                    continue  # renamed this moment; the next look finds it
                yield int(match[1]), match[2] or _NOT_ROTATED, path / name, status


class ContainerChain:
    """The files of a container: over rotations, restarts, and pods of the same name.

    The open file is identified by its device and inode. If it has disappeared from the folder, the
    chain goes on with the first file whose place is greater than `_passed`.
    """

    interval = 1.0

    def __init__(self, container: Container, line_limit: int) -> None:
        self.joiner = Joiner(line_limit)
        self._container = container
        self._line_limit = line_limit
        #: Folders, numbered as they were made. None is forgotten: one that comes back is not new.
        self._pods: dict[str, int] = {}
        self._passed: _Place = (0, 0, "")
        self._start = (-1, -1)

    def first(self) -> File:
        files = self._files()
        # Only new lines of it are read: any file that has its name now will do.
        opened = self._open(files[-1], whichever=True) if files else None
        if opened is None:
            raise FileNotFoundError(errno.ENOENT, "no log of this container", self._container.id)
        self._pass(files, len(files) - 1)
        return opened

    def next(self, current: File) -> File | None:
        files = self._files()
        at = next((n for n, f in enumerate(files) if identity(f.status) == current.identity), None)
        if at is None:
            at = next((n for n, f in enumerate(files) if self._is_packed(f, current)), None)
        if at is None:
            following = [file for file in files if file.place > self._passed]
            if not following:
                raise FileNotFoundError(errno.ENOENT, "no successor", self._container.id)
        else:
            self._pass(files, at)
            following = files[at + 1 :]
        # Empty files have no lines yet, or never had any.
        written = next((file for file in following if file.status.st_size), None)
        return None if written is None else self._open(written)

    def files(self, inode: int | None = None) -> Generator[File, None, None]:
        for file in reversed(self._files()):
            if inode not in (None, file.status.st_ino):
                continue
            if (opened := self._rotated(file).open()) is not None:
                yield opened

    def _rotated(self, file: _File) -> Rotated:
        return Rotated(self._container.id, file.path, file.status, self._container.root)

    def _is_packed(self, file: _File, current: File) -> bool:
        return file.place > self._passed and self._rotated(file).is_packed(current)

    def _files(self) -> list[_File]:
        """All files of the container, in the order in which they were written."""
        folders = {name: list(self._container.files(name)) for name in self._container.folders()}
        new = [name for name in folders if name not in self._pods]
        # Several folders may be new at once, as a rule at the start: the folder that was written to
        # last is the newest.
        for name in sorted(
            new, key=lambda name: max((f[3].st_mtime for f in folders[name]), default=inf)
        ):
            self._pods[name] = len(self._pods)
        return sorted(
            _File((self._pods[name], start, rotated), path, status)
            for name, files in folders.items()
            for start, rotated, path, status in files
        )

    def _pass(self, files: list[_File], at: int) -> None:
        """Notes the place of the file that is read. Its name may be another's by the time it is
        gone.
        """
        pod, start, rotated = files[at].place
        if self._start == (-1, -1):
            self._start = (pod, start)
        if rotated == _NOT_ROTATED:
            before = files[at - 1].place if at else (-1, -1, "")
            rotated = before[2] if before[:2] == (pod, start) else ""
        self._passed = (pod, start, rotated)

    def _open(self, file: _File, whichever: bool = False) -> File | None:
        """The file; None where another has the name now: the next look finds it."""
        if whichever:
            try:
                opened: File | None = open_file(self._container.id, file.path, self._container.root)
            except FileNotFoundError:
                return None
        else:
            opened = self._rotated(file).open()
        if opened is None:
            return None
        if file.place[:2] != self._start:
            # No other start of a container goes on with a line that it left unfinished.
            self._start = file.place[:2]
            self.joiner = Joiner(self._line_limit)
        return opened


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
