"""One file of a log, read forwards, as long as it is the same file."""

import os
from collections.abc import Iterator

from eddyline.threads import FILES
from eddyline_logs.reading import backlog, cri
from eddyline_logs.reading.file_chain import identity
from eddyline_logs.reading.lines import Line, Splitter

#: Length of the fingerprint kept from just before the read offset; it detects a file that was
#: truncated and grew past the offset between two polls.
_FINGERPRINT = 64

#: Bytes of one read: so much memory an append of any size costs, and so much of one turn of the
#: loop.
SLICE = 64 * 1024


class LogFile:
    """Owns the file descriptor. `position` is the offset after the last line that was published."""

    def __init__(
        self, file: int, line_limit: int, joiner: cri.Joiner | None, *, from_end: bool
    ) -> None:
        self.file = file
        self.joiner = joiner
        status = os.fstat(file)
        self.identity = identity(status)
        line_start = backlog.line_start if joiner is None else cri.line_start
        self.position = line_start(file, status.st_size, line_limit) if from_end else 0
        self._limit = line_limit if joiner is None else line_limit + cri.HEADER
        self._splitter = Splitter(self.position, self._limit)
        before = max(0, self.position - _FINGERPRINT)
        self._fingerprint = os.pread(file, _FINGERPRINT, before)[: self.position]
        self._replaced = False

    async def read(self) -> Iterator[Line] | None:
        """The lines that the next bytes finish; None at the end of the file."""
        # The read is in a thread, for the disk can take its time; the status is in the loop, for
        # an idle tail does nothing else.
        offset, fingerprint = self._splitter.offset, self._fingerprint
        status = os.fstat(self.file)
        if status.st_size == offset:
            return None
        size = SLICE + len(fingerprint)
        data = await FILES.lane(status.st_dev).run(
            os.pread, self.file, size, offset - len(fingerprint)
        )
        self._replaced = not data.startswith(fingerprint)
        if self._replaced or len(data) == len(fingerprint):
            return None
        self._fingerprint = data[-_FINGERPRINT:]
        return self._joined(self._splitter.feed(data[len(fingerprint) :]))

    @property
    def truncated(self) -> bool:
        return self._replaced or os.fstat(self.file).st_size < self._splitter.offset

    def restart(self) -> None:
        """Reads from the start of the file again; an unfinished line went with the truncation."""
        self.position = 0
        self._fingerprint = b""
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
