"""One generation of a log: a file as long as it is the same file, read forwards."""

import asyncio
import os
from collections.abc import Iterator

from eddyline_logs.reading import backlog
from eddyline_logs.reading.lines import Line, Splitter
from eddyline_logs.sources import cri

#: Bytes before the offset by which a file is known to be what it was: one that was truncated may
#: have grown beyond the offset again before anybody looks.
_MARK = 64

#: Bytes of one read: what an append of any size costs in memory, and in one turn of the loop.
SLICE = 64 * 1024


class Generation:
    """Owns the file descriptor. `position` is the offset after the last line that was published."""

    def __init__(
        self, file: int, line_limit: int, joiner: cri.Joiner | None, *, from_end: bool
    ) -> None:
        self.file = file
        self.joiner = joiner
        status = os.fstat(file)
        self.identity = (status.st_dev, status.st_ino)
        line_start = backlog.line_start if joiner is None else cri.line_start
        self.position = line_start(file, status.st_size, line_limit) if from_end else 0
        self._limit = line_limit if joiner is None else line_limit + cri.HEADER
        self._splitter = Splitter(self.position, self._limit)
        self._mark = os.pread(file, _MARK, max(0, self.position - _MARK))[: self.position]
        self._replaced = False

    async def read(self) -> Iterator[Line] | None:
        """The lines that the next bytes finish; None at the end of the file."""
        # In a thread, for the disk can take its time; the status in the loop, for it is all that an
        # idle tail does.
        offset, mark = self._splitter.offset, self._mark
        if os.fstat(self.file).st_size == offset:
            return None
        size = SLICE + len(mark)
        data = await asyncio.to_thread(os.pread, self.file, size, offset - len(mark))
        self._replaced = not data.startswith(mark)
        if self._replaced or len(data) == len(mark):
            return None
        self._mark = data[-_MARK:]
        return self._joined(self._splitter.feed(data[len(mark) :]))

    @property
    def truncated(self) -> bool:
        return self._replaced or os.fstat(self.file).st_size < self._splitter.offset

    def restart(self) -> None:
        """From the start of the file; an unfinished line is gone with what was truncated."""
        self.position = 0
        self._mark = b""
        self._replaced = False
        self._splitter = Splitter(0, self._limit)

    def rest(self) -> Iterator[Line]:
        """The unfinished line of a file that nobody will finish."""
        rest = self._splitter.rest()
        return self._joined(iter([] if rest is None else [rest]))

    def close(self) -> None:
        os.close(self.file)

    def _joined(self, lines: Iterator[Line]) -> Iterator[Line]:
        return lines if self.joiner is None else self.joiner.join(lines)
