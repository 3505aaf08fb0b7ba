"""One segment of a stream: a log of its writes beside the bytes of their records."""

import os
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple
from zlib import crc32

from eddyline.errors import Unavailable
from eddyline.store.segments.frames import frames
from eddyline.store.segments.state import Write

#: Bytes of records, and records, between two marks of the index.
MARK_BYTES = 256 * 1024
MARK_RECORDS = 1024


class Mark(NamedTuple):
    """A place in a segment: the sequence of a record that begins a write, and the offsets of the
    write's frame and bytes.
    """

    sequence: int
    log: int
    data: int


@dataclass(frozen=True, slots=True)
class Place:
    """Records that lie one after the other: `sizes`, from an offset in the segment's bytes on."""

    offset: int
    sizes: list[int]

    def split(self, data: bytes) -> list[bytes]:
        """The records whose bytes these are. Raises Unavailable where bytes are missing."""
        if len(data) != sum(self.sizes):
            text = f"of {sum(self.sizes)} bytes of records there are {len(data)} in the file"
            raise Unavailable(f"the stream can't be read: {text}", 30.0)
        view, records, at = memoryview(data), [], 0
        for size in self.sizes:
            records.append(bytes(view[at : at + size]))
            at += size
        return records


class Segment:
    """Where a segment's whole writes end, and an index of them; the first frame is the header.

    The index is rebuilt from the log. A writer notes each write; readers of other processes scan.
    """

    def __init__(self, folder: Path, first: int) -> None:
        self.first: Final = first
        self.log: Path = folder / f"{first:018}.log"
        self.data: Path = folder / f"{first:018}.data"
        #: The sequence after that of the last record, and the bytes of whole frames and records.
        self.next: int = first
        self.log_bytes: int = 0
        self.data_bytes: int = 0
        #: Whether its records are in an archive, and no more on the disk.
        self.archived: bool = False
        self._marks: list[Mark] = []

    def move(self, folder: Path) -> None:
        """Its folder has moved."""
        self.log, self.data = folder / self.log.name, folder / self.data.name

    def begin(self, header_end: int) -> None:
        """The header is read or written: it ends there."""
        self.log_bytes = header_end

    def note(self, write: Write, frame_end: int) -> None:
        """One write more, whose frame ends at this offset of the log."""
        mark = self._marks[-1] if self._marks else None
        if mark is None or (
            self.data_bytes - mark.data >= MARK_BYTES or self.next - mark.sequence >= MARK_RECORDS
        ):
            self._marks.append(Mark(self.next, self.log_bytes, self.data_bytes))
        self.next += len(write.sizes)
        self.log_bytes = frame_end
        self.data_bytes += sum(write.sizes)

    def scan(self, stop: int | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
        """The frames that are not noted yet, each with the offset of its end. `stop`: only these
        bytes of the log are looked at.
        """
        with opened(self.log) as fd:
            yield from frames(fd, self.log_bytes, os.fstat(fd).st_size if stop is None else stop)

    def index(self) -> None:
        """Notes all writes of a closed segment that is not read yet."""
        following, self.next = self.next, self.first
        for number, (end, value) in enumerate(self.scan()):
            if number:
                self.note(Write.from_json(value), end)
            else:
                self.begin(end)
        self.next = following

    def locate(self, sequence: int, last: int, limit: int) -> Place:
        """The records from a sequence on, up to `last` and `limit` bytes, but at least one."""
        mark = self._marks[bisect_right(self._marks, sequence, key=lambda mark: mark.sequence) - 1]
        at, offset, size = mark.sequence, mark.data, 0
        sizes: list[int] = []
        with opened(self.log) as fd:
            for _, value in frames(fd, mark.log, self.log_bytes):
                for each in value["sizes"]:
                    if at > last or (sizes and size + each > limit):
                        return Place(offset, sizes)
                    if at < sequence:
                        offset += each
                    else:
                        sizes.append(each)
                        size += each
                    at += 1
        return Place(offset, sizes)

    def read(self, place: Place) -> list[bytes]:
        """The records that lie there. Raises FileNotFoundError where they do no more."""
        with opened(self.data) as fd:
            return place.split(os.pread(fd, sum(place.sizes), place.offset))

    def unlink(self) -> None:
        """Removes its files, the log first: without it the other is never looked at."""
        self.log.unlink(missing_ok=True)
        self.data.unlink(missing_ok=True)

    def holds(self, fd: int, write: Write) -> bool:
        """Whether the bytes of the next write are whole in the open file of the records."""
        size = sum(write.sizes)
        data = os.pread(fd, size, self.data_bytes)
        return len(data) == size and crc32(data) == write.check


def find(folder: Path) -> list[int]:
    """The first sequences of a stream's segments, in order."""
    return sorted(int(path.stem) for path in folder.glob("*.log"))


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """The descriptor of a file that is read."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)
