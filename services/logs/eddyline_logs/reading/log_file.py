"""One file of a log, read forwards, as long as it is the same file."""

import time
from collections.abc import Iterator

from eddyline.threads import FILES
from eddyline_logs.files.base import HEAD, File
from eddyline_logs.files.place import BEFORE, Spot, fingerprint_of
from eddyline_logs.lines import cri
from eddyline_logs.lines.lines import Line, Splitter

#: Bytes of one read: so much memory an append of any size costs, and so much of one turn of the
#: loop.
SLICE = 64 * 1024

#: Bytes of one read of a page: its lines fill one write of a connection.
_SHORT_SLICE = 12 * 1024

#: Nanoseconds between two ticks of a file system's clock, and some more.
_COARSE = 20_000_000


class LogFile:
    """Owns the file. `spot` is that after the last line that was published; `start` is the offset
    at which a line begins. Making one reads: it may wait for the disk.
    """

    def __init__(
        self, file: File, line_limit: int, joiner: cri.Joiner | None, *, start: int = 0
    ) -> None:
        self.file = file
        self.joiner = joiner
        self.identity = file.identity
        self.grown = time.monotonic()
        #: The largest size that was seen: bytes up to there were written.
        self.seen = start
        self._limit = line_limit if joiner is None else line_limit + cri.HEADER
        self._begin(start)

    def _begin(self, start: int) -> None:
        self.modified = self.file.status().st_mtime_ns
        self._splitter = Splitter(start, self._limit)
        self._head = self.file.pread(HEAD, 0)
        #: The last bytes that were read, from the offset `_base` on. Their end is a fingerprint: it
        #: detects a file that was truncated and grew past the offset between two polls.
        self._base = max(0, start - BEFORE)
        self._data = self.file.pread(start - self._base, self._base)
        self._at_end = False
        #: When the file was changed last, by its status, where no later change can look the same.
        self._times: tuple[int, int] | None = None
        self._told = -1
        self.replaced = False
        self.spot = self.spot_at(start)

    @property
    def offset(self) -> int:
        """The end of the bytes that were read."""
        return self._splitter.offset

    async def read(self) -> Iterator[Line] | None:
        """The lines that the next bytes finish; None at the end of the file."""
        # The read is in a thread, for the disk can take its time; the status is in the loop, for
        # an idle tail does nothing else.
        if self.file.compressed:
            if self._at_end:
                return None
        else:
            status = self.file.status()
            self.seen = max(self.seen, status.st_size)
            times = (status.st_mtime_ns, status.st_ctime_ns)
            if status.st_size == self.offset and times == self._times:
                return None
            self.modified = status.st_mtime_ns
            # The clock of a file system is coarse: another write may get the same time.
            settled = time.time_ns() > max(times) + _COARSE
            self._times = times if settled else None
        before = max(0, self.offset - BEFORE)
        lane = FILES.lane(self.identity[0])
        return self._take(before, *await lane.run(_read, self.file, before))

    def read_until(self, end: int | None) -> Iterator[Line] | None:
        """The same, as far as the offset `end`. Reads: it blocks the thread."""
        before = max(0, self.offset - BEFORE)
        head, data = _read(self.file, before, _SHORT_SLICE)
        return self._take(before, head, data if end is None else data[: max(0, end - before)])

    def _take(self, before: int, head: bytes, data: bytes) -> Iterator[Line] | None:
        offset = self.offset
        fingerprint = self._data[before - offset :] if offset else b""
        self.replaced = not data.startswith(fingerprint)
        # Files that begin alike may be overwritten to the same size.
        self.replaced |= not head.startswith(self._head[:offset])
        if self.replaced or len(data) == len(fingerprint):
            self._at_end = True
            return None
        self._head, self._base, self._data = head, before, data
        self.grown = time.monotonic()
        return self._joined(self._splitter.feed(data[len(fingerprint) :]))

    def spot_at(self, offset: int) -> Spot:
        """The spot of an offset within the bytes that were read last."""
        end = offset - self._base
        before = self._data[max(0, end - BEFORE) : end]
        return Spot(self.identity[1], offset, fingerprint_of(self._head, before, offset))

    @property
    def truncated(self) -> bool:
        end = self.file.end()
        return self.replaced or (end is not None and end < self.offset)

    @property
    def deleted(self) -> bool:
        return self.file.status().st_nlink == 0

    def restart(self) -> None:
        """Reads from the start of the file again."""
        self.seen = 0
        self._begin(0)

    def untold(self) -> Line | None:
        """The unfinished line, where it has grown since the last call."""
        if self._told == self.offset:
            return None
        self._told = self.offset
        return self._splitter.partial()

    def close(self) -> None:
        self.file.close()

    def _joined(self, lines: Iterator[Line]) -> Iterator[Line]:
        return lines if self.joiner is None else self.joiner.join(lines)


def _read(file: File, offset: int, size: int = SLICE) -> tuple[bytes, bytes]:
    """The start of the file, and its bytes before and after the read offset."""
    return file.pread(HEAD, 0), file.pread(BEFORE + size, offset)
