"""One file of a log, read forwards, as long as it is the same file."""

import os
import time
from collections.abc import Iterator

from eddyline.threads import FILES
from eddyline_logs.reading import cri
from eddyline_logs.reading.file_chain import identity
from eddyline_logs.reading.lines import Line, Splitter
from eddyline_logs.reading.place import BEFORE, HEAD, Place, fingerprint_of

#: Bytes of one read: so much memory an append of any size costs, and so much of one turn of the
#: loop.
SLICE = 64 * 1024


class LogFile:
    """Owns the file descriptor. `place` is that after the last line that was published; `start` is
    the offset at which a line begins.
    """

    def __init__(
        self, file: int, source: int, line_limit: int, joiner: cri.Joiner | None, *, start: int = 0
    ) -> None:
        self.file = file
        self.joiner = joiner
        status = os.fstat(file)
        self.identity = identity(status)
        self.grown = time.monotonic()
        self._source = source
        self._modified = status.st_mtime_ns
        self._limit = line_limit if joiner is None else line_limit + cri.HEADER
        self._begin(start)

    def _begin(self, start: int) -> None:
        self._splitter = Splitter(start, self._limit)
        self._head = os.pread(self.file, HEAD, 0)
        #: The last bytes that were read, from the offset `_base` on. Their end is a fingerprint: it
        #: detects a file that was truncated and grew past the offset between two polls.
        self._base = max(0, start - BEFORE)
        self._data = os.pread(self.file, start - self._base, self._base)
        self._replaced = False
        self._told = -1
        self.place = self.place_at(start)

    @property
    def offset(self) -> int:
        """The end of the bytes that were read."""
        return self._splitter.offset

    async def read(self) -> Iterator[Line] | None:
        """The lines that the next bytes finish; None at the end of the file."""
        # The read is in a thread, for the disk can take its time; the status is in the loop, for
        # an idle tail does nothing else.
        status, offset = os.fstat(self.file), self._splitter.offset
        if status.st_size == offset and status.st_mtime_ns == self._modified:
            return None
        before = max(0, offset - BEFORE)
        head, data = await FILES.lane(status.st_dev).run(_read, self.file, before)
        self._modified = status.st_mtime_ns
        return self._take(before, head, data)

    def read_until(self, end: int) -> Iterator[Line] | None:
        """The same, as far as the offset `end`. Reads: it blocks the thread."""
        before = max(0, self.offset - BEFORE)
        head, data = _read(self.file, before)
        return self._take(before, head, data[: max(0, end - before)])

    def _take(self, before: int, head: bytes, data: bytes) -> Iterator[Line] | None:
        offset = self.offset
        fingerprint = self._data[before - offset :] if offset else b""
        self._replaced = not data.startswith(fingerprint)
        # Files that begin alike may be overwritten to the same size.
        self._replaced |= not head.startswith(self._head[:offset])
        if self._replaced or len(data) == len(fingerprint):
            return None
        self._head, self._base, self._data = head, before, data
        self.grown = time.monotonic()
        return self._joined(self._splitter.feed(data[len(fingerprint) :]))

    def place_at(self, offset: int) -> Place:
        """The place of an offset within the bytes that were read last."""
        end = offset - self._base
        before = self._data[max(0, end - BEFORE) : end]
        known = fingerprint_of(self._head, before, offset)
        return Place(self._source, self.identity[1], offset, self._modified, known)

    @property
    def truncated(self) -> bool:
        return self._replaced or os.fstat(self.file).st_size < self._splitter.offset

    @property
    def deleted(self) -> bool:
        return os.fstat(self.file).st_nlink == 0

    def restart(self) -> None:
        """Reads from the start of the file again."""
        self._begin(0)

    def untold(self) -> Line | None:
        """The unfinished line, where it has grown since the last call."""
        if self._told == self.offset:
            return None
        self._told = self.offset
        return self._splitter.partial()

    def close(self) -> None:
        os.close(self.file)

    def _joined(self, lines: Iterator[Line]) -> Iterator[Line]:
        return lines if self.joiner is None else self.joiner.join(lines)


def _read(file: int, offset: int) -> tuple[bytes, bytes]:
    """The start of the file, and its bytes before and after the read offset."""
    return os.pread(file, HEAD, 0), os.pread(file, BEFORE + SLICE, offset)
