"""The open files of a stream's last segment, and how they are written."""

import os
from pathlib import Path

from eddyline.store.segments.frames import frame
from eddyline.store.segments.loading import Committed
from eddyline.store.segments.segment import Segment

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC


class SegmentWriter:
    """Writes at the ends that the segment knows: the rest of a failed write is written over."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._fds: list[int] = []
        try:
            committed = segment.log.parent / "committed"
            for path in (segment.log, segment.data, committed):
                self._fds.append(os.open(path, _FLAGS, 0o640))
        except OSError:
            self.close()
            raise
        self._log, self._data, self._committed = self._fds

    def begin(self, header: dict[str, object]) -> int:
        """Writes the header of a new segment; `sync` and its folder's bring it to the disk.
        Returns its size.
        """
        packed = frame(header)
        os.ftruncate(self._log, 0)
        os.ftruncate(self._data, 0)
        _write(self._log, packed, 0)
        return len(packed)

    def write(self, data: bytes, log: bytes, sync: bool) -> None:
        """Adds records and frames; with `sync` they are on the disk when it returns. Other
        processes may read them.

        After an OSError neither is there.
        """
        segment = self._segment
        try:
            if data:
                _write(self._data, data, segment.data_bytes)
                if sync:
                    os.fdatasync(self._data)
            _write(self._log, log, segment.log_bytes)
            if sync:
                os.fdatasync(self._log)
            self.commit(segment.log_bytes + len(log))
        except OSError:
            # Else a later start would take it for written.
            os.ftruncate(self._log, segment.log_bytes)
            os.ftruncate(self._data, segment.data_bytes)
            raise

    def commit(self, log_bytes: int) -> None:
        """Other processes may read so much of the log."""
        _write(self._committed, Committed(self._segment.first, log_bytes).pack(), 0)

    def sync(self) -> None:
        """Brings all that is written to the disk, the records first."""
        os.fdatasync(self._data)
        os.fdatasync(self._log)

    def close(self) -> None:
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()


def sync_folder(folder: Path) -> None:
    """Brings the names in a folder to the disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _write(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written
