"""A logging handler that joins lines: one write for all of a turn of the event loop."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from select import PIPE_BUF
from typing import Any, TextIO


class TurnHandler(logging.StreamHandler[TextIO]):
    """Writes lines of the request log once per turn of the event loop, and all others at once.

    All lines keep their order. A process that is killed loses those of its last turn; one that
    ends or crashes loses none, because `logging` flushes its handlers at exit.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lines: list[str] = []
        #: The loop that will flush. It may have ended before it did, and another one may run.
        self._loop: asyncio.AbstractEventLoop | None = None

    def write_soon(self, line: str) -> None:
        """Writes a line in the next turn of the running loop; at once where none runs."""
        with self._locked():
            self._lines.append(line)
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                self._try_flush()
            else:
                if loop is not self._loop:
                    self._loop = loop
                    loop.call_soon(self._try_flush)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.append(self.format(record))
            self.flush()
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        with self._locked():
            self._loop = None
            lines, self._lines = self._lines, []
            for text in _writes(lines):
                self.stream.write(text)
            super().flush()

    def close(self) -> None:
        self._try_flush()
        super().close()

    def _try_flush(self) -> None:
        with suppress(OSError, ValueError):  # a stream that is closed: nowhere to tell of it
            self.flush()

    def _locked(self) -> AbstractContextManager[Any]:
        return self.lock or nullcontext()


def _writes(lines: list[str]) -> Iterator[str]:
    """Lines joined up to the size that a pipe takes whole: other workers write to it, too."""
    some: list[str] = []
    size = 0
    for line in lines:
        length = len(line.encode()) + 1
        if some and size + length > PIPE_BUF:
            yield "\n".join(some) + "\n"
            some, size = [], 0
        some.append(line)
        size += length
    if some:
        yield "\n".join(some) + "\n"
