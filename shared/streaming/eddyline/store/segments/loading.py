"""From a stream's folder to its state: the last segment is read, and mended after a crash."""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from eddyline.errors import NotFound, UnknownFormat
from eddyline.store.segments.segment import Segment, find, opened
from eddyline.store.segments.state import StreamState, Write

#: The version of all that is written here.
FORMAT = 1

_COMMITTED = struct.Struct("<QQI")


@dataclass(slots=True)
class Loaded:
    """A stream as its folder has it. `run`: the writer's run in which its epoch began."""

    key: str
    run: int
    state: StreamState
    segments: list[Segment]


@dataclass(frozen=True, slots=True)
class Committed:
    """How far a stream is safe to read: a segment, by its first sequence, and bytes of its log."""

    first: int
    log_bytes: int

    def pack(self) -> bytes:
        packed = _COMMITTED.pack(self.first, self.log_bytes, 0)[:-4]
        return packed + crc32(packed).to_bytes(4, "little")


@dataclass(frozen=True, slots=True)
class New:
    """A write that another process has made; its frame ends at `end` of the segment's log."""

    segment: Segment
    write: Write
    end: int


def read_committed(fd: int) -> Committed | None:
    """None in the midst of a write of it."""
    packed = os.pread(fd, _COMMITTED.size, 0)
    if len(packed) < _COMMITTED.size:
        return None
    first, log_bytes, check = _COMMITTED.unpack(packed)
    return Committed(first, log_bytes) if crc32(packed[:-4]) == check else None


def load(folder: Path, until: Committed | None = None) -> Loaded:
    """The stream in a folder. A writer's torn write at its end is cut off. `until`: only so much
    is read, and nothing is mended, for another process writes. Raises NotFound.
    """
    firsts = [first for first in find(folder) if until is None or first <= until.first]
    while firsts:
        segment = Segment(folder, firsts[-1])
        loaded = _load(segment, until)
        if loaded is not None:
            if until is None:
                _mend(segment)
            loaded.segments = [*_closed(folder, firsts), segment]
            return loaded
        # The writer crashed before the segment had its header: nothing else is in it.
        firsts.pop()
        if until is None:
            segment.unlink()
    raise NotFound(f"there is no stream in {folder.name}")


def read_header(folder: Path) -> Loaded | None:
    """The stream as it was at the beginning of its oldest segment: its key and its config."""
    for first in find(folder):
        loaded = _header(Segment(folder, first))
        if loaded is not None:
            return loaded
    return None


def header(key: str, run: int, state: StreamState) -> dict[str, object]:
    """The first frame of a segment."""
    return {"format": FORMAT, "key": key, "run": run, "state": state.to_json()}


def find_new(loaded: Loaded, until: Committed) -> list[New]:
    """All that another process has written since, in order. Nothing is taken in yet."""
    segment, found = loaded.segments[-1], []
    while True:
        stop = until.log_bytes if segment.first == until.first else None
        found += [New(segment, Write.from_json(value), end) for end, value in segment.scan(stop)]
        if segment.first >= until.first:
            return found
        records = sum(len(new.write.sizes) for new in found if new.segment is segment)
        segment = Segment(segment.log.parent, segment.next + records)
        if _header(segment) is None:
            return found


def _apply(loaded: Loaded, segment: Segment, value: dict[str, object], end: int) -> None:
    note(loaded, segment, Write.from_json(value), end)


def note(loaded: Loaded, segment: Segment, write: Write, end: int) -> None:
    """Takes in one write more, whose frame ends at this offset."""
    segment.note(write, end)
    loaded.state.apply(write)
    loaded.run = write.run or loaded.run


def _load(segment: Segment, until: Committed | None) -> Loaded | None:
    loaded = _header(segment)
    if loaded is None:
        return None
    stop = until.log_bytes if until is not None and until.first == segment.first else None
    with opened(segment.data) as data:
        for end, value in segment.scan(stop):
            if until is None and not segment.holds(data, Write.from_json(value)):
                break
            _apply(loaded, segment, value, end)
    return loaded


def _header(segment: Segment) -> Loaded | None:
    for end, value in segment.scan():
        if value["format"] != FORMAT:
            name = f"the stream in {segment.log.parent.name}"
            raise UnknownFormat(name, str(value["format"]), str(FORMAT))
        segment.begin(end)
        return Loaded(value["key"], value["run"], StreamState.from_json(value["state"]), [])
    return None


def _closed(folder: Path, firsts: list[int]) -> list[Segment]:
    segments = [Segment(folder, first) for first in firsts[:-1]]
    for segment, following in zip(segments, firsts[1:], strict=True):
        segment.next = following
    return segments


def _mend(segment: Segment) -> None:
    """Cuts off all that is not whole, and brings the rest to the disk.

    A write that survived the crash of its process may not be on the disk yet, and is shown from
    now on.
    """
    for path, size in ((segment.log, segment.log_bytes), (segment.data, segment.data_bytes)):
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.ftruncate(fd, size)
            os.fdatasync(fd)
        finally:
            os.close(fd)
