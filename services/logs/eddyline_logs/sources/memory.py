"""A source in memory: for tests, and the shortest example of one."""

import os
import tempfile
from collections.abc import Generator

from eddyline_logs.files.base import File, identity


class MemorySource:
    """Files without names, each of which follows the one before it; there is none at first."""

    cri = False
    folder = None
    interval = 0.0
    joiner = None

    def __init__(self, id: str) -> None:
        self.id = id
        self._files: list[int] = []

    def append(self, data: bytes) -> None:
        """Writes to the newest file, which is made where there is none."""
        if not self._files:
            self.rotate()
        os.write(self._files[-1], data)

    def rotate(self) -> None:
        """Makes another file, the newest from now on."""
        with tempfile.TemporaryFile() as file:
            self._files.append(os.dup(file.fileno()))

    def close(self) -> None:
        for file in self._files:
            os.close(file)

    def open(self) -> File:
        return self.first()

    def exists(self) -> bool:
        return bool(self._files)

    def taken(self) -> bool:
        return self.exists()

    def chain(self, line_limit: int) -> "MemorySource":
        return self

    def first(self) -> File:
        if not self._files:
            raise FileNotFoundError(self.id)
        return File(os.dup(self._files[-1]))

    def next(self, current: File) -> File | None:
        identities = [identity(os.fstat(file)) for file in self._files]
        following = self._files[identities.index(current.identity) + 1 :]
        return File(os.dup(following[0])) if following else None

    def files(self, inode: int | None = None) -> Generator[File, None, None]:
        for file in reversed(self._files):
            if inode in (None, os.fstat(file).st_ino):
                yield File(os.dup(file))
