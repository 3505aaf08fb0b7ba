"""Open files of logs: bytes at offsets, whichever way the disk keeps them."""

import os
from typing import NamedTuple

#: Device and inode: a file keeps them as long as somebody holds it open.
Identity = tuple[int, int]

#: Bytes from the start of a file that tell it from others.
HEAD = 256


def identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino


class Lost(NamedTuple):
    """Bytes of a file that nobody can read: how many, where that is known, and why."""

    bytes: int | None
    reason: str


class File:
    """Owns a descriptor. One thread at a time may use it; all of its methods may wait for a disk,
    but for `status` and `end` of a plain file, which are quick.
    """

    #: Whether its bytes are those of a compressed file: nobody appends to it.
    compressed = False

    #: The bytes that are missing at its end, once that was reached.
    lost: Lost | None = None

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.identity = identity(os.fstat(descriptor))

    def status(self) -> os.stat_result:
        return os.fstat(self.descriptor)

    def end(self) -> int | None:
        """The size in bytes; None where only reading tells."""
        return os.fstat(self.descriptor).st_size

    def pread(self, size: int, offset: int) -> bytes:
        """The bytes of the range; fewer at the end of the file."""
        return os.pread(self.descriptor, size, offset)

    def close(self) -> None:
        os.close(self.descriptor)


def read_range(file: File, offset: int, size: int) -> bytes:
    """The bytes of the range, as far as the file reaches."""
    parts = []
    while size > 0:
        part = file.pread(size, offset)
        if not part:
            break  # the file was truncated meanwhile
        parts.append(part)
        offset += len(part)
        size -= len(part)
    return b"".join(parts)


def is_copy(file: File, other: File) -> bool:
    """Whether `other` begins with all the bytes of the plain `file`, as far as heads and ends tell.
    A file that is empty has no copy.
    """
    size = file.end() or 0
    if not size or file.pread(HEAD, 0) != other.pread(HEAD, 0)[: min(size, HEAD)]:
        return False
    at = max(0, size - HEAD)
    return file.pread(size - at, at) == other.pread(size - at, at)


class UnreadableFile(File):
    """Stands for a file that may not be opened, in the order of its log's files: it has no byte."""

    compressed = True

    def __init__(self, status: os.stat_result) -> None:
        super().__init__(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        self.identity = identity(status)
        self.lost = Lost(status.st_size, "unreadable")
        self._status = status

    def status(self) -> os.stat_result:
        return self._status

    def end(self) -> int | None:
        return None
