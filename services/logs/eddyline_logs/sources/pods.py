"""The logs of a node's pods, where the kubelet keeps them: each container is a source.

`<namespace>_<pod>_<uid>/<container>/<restarts>.log`. The kubelet rotates by rename, `0.log` to
`0.log.20261124-110000`, and compresses what it rotated before. A container that is started again
has the next number, a pod that is made again under its name another uid.
"""

import errno
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import NamedTuple

from eddyline_logs.sources.base import FileSource, Identity, identity, unknown
from eddyline_logs.sources.cri import Joiner

_FOLDER = re.compile(r"([^_]+)_([^_]+)_[^_]+\Z")
_FILE = re.compile(r"([0-9]{1,9})\.log(?:\.([0-9]{8}-[0-9]{6}))?\Z")
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,252}\Z")

#: In place of the time of its rotation, what a file has that was not rotated: it comes after all.
_NOT_ROTATED = "~"

#: Which pod of that name, which start of its container, when rotated: ascends as it was written.
_Place = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Pods:
    """One item of `LOGS_SOURCES`: see sources.py."""

    name: str
    root: Path

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

    def open(self) -> int:
        return self.trail(0).first(newest=True)

    def exists(self) -> bool:
        try:
            os.close(self.open())
        except FileNotFoundError:
            return False
        except PermissionError:
            pass
        except OSError:
            raise unknown(self.id) from None
        return True

    def taken(self) -> bool:
        return self.exists()

    def trail(self, line_limit: int) -> "ContainerTrail":
        return ContainerTrail(self, line_limit)

    def folders(self) -> list[str]:
        """Those of all pods of that name, in no order."""
        prefix = f"{self.namespace}_{self.pod}_"
        return [name for name in _names(self.root) if name.startswith(prefix)]

    def files(self, folder: str) -> Iterator[tuple[int, str, Path, os.stat_result]]:
        """Its files in a pod's folder, in no order: which start, when rotated, where, what."""
        path = self.root / folder / self.name
        for name in _names(path):
            if (match := _FILE.match(name)) is not None:
                try:
                    status = os.stat(path / name)
                except FileNotFoundError:
                    continue  # renamed this moment; the next look finds it
                yield int(match[1]), match[2] or _NOT_ROTATED, path / name, status


class ContainerTrail:
    """From file to file: over rotations, restarts, and pods of the same name.

    What is being read is known by its identity, which holds as long as it is open. What is gone was
    before everything whose place is after `_passed`.
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

    def first(self, newest: bool) -> int:
        files = self._files()
        at = len(files) - 1 if newest else 0
        # Of the newest one only what comes is read: what has its name now will do.
        opened = self._open(files[at], whichever=newest) if files else None
        if opened is None:
            raise FileNotFoundError(errno.ENOENT, "no log of this container", self._container.id)
        self._pass(files, at)
        return opened

    def next(self, current: Identity) -> int | None:
        files = self._files()
        at = next((n for n, file in enumerate(files) if identity(file.status) == current), None)
        if at is None:
            following = [file for file in files if file.place > self._passed]
            if not following:
                raise FileNotFoundError(errno.ENOENT, "no successor", self._container.id)
        else:
            self._pass(files, at)
            following = files[at + 1 :]
        # Empty ones have nothing to tell yet, or never had.
        written = next((file for file in following if file.status.st_size), None)
        return None if written is None else self._open(written)

    def _files(self) -> list[_File]:
        """All that are there, in the order in which they were written."""
        folders = {name: list(self._container.files(name)) for name in self._container.folders()}
        new = [name for name in folders if name not in self._pods]
        # Of those that are new at once, as a rule at the start, the one written last is the newest.
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
        """What is read is gone when no file has its identity: its name may be another's then."""
        pod, start, rotated = files[at].place
        if rotated == _NOT_ROTATED:
            before = files[at - 1].place if at else (-1, -1, "")
            rotated = before[2] if before[:2] == (pod, start) else ""
        self._passed = (pod, start, rotated)

    def _open(self, file: _File, whichever: bool = False) -> int | None:
        """None where another has its name now: the next look finds what was renamed."""
        try:
            opened = FileSource(self._container.id, file.path, self._container.root).open()
        except FileNotFoundError:
            return None
        if not whichever and identity(os.fstat(opened)) != identity(file.status):
            os.close(opened)
            return None
        if file.place[:2] != self._start:
            # What the container left unfinished when it ended, no other one goes on with.
            self._start = file.place[:2]
            self.joiner = Joiner(self._line_limit)
        return opened


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
