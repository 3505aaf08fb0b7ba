"""A tail follows one source as `tail -F` does, and publishes its lines to the journal for all of
its readers.

It polls: that works on every file system, and shows the rotations of every tool.
"""

import asyncio
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import orjson

from eddyline.journal.base import NewEntry
from eddyline.journal.memory import MemoryJournal
from eddyline.wire import sse
from eddyline_logs.reading.file_chain import Followable
from eddyline_logs.reading.lines import Line
from eddyline_logs.reading.log_file import LogFile

_log = logging.getLogger(__name__)

#: Seconds: between looks at the file; after a fault of the disk.
POLL = 0.15
FAULT_PAUSE = 1.0

#: Seconds for which a rotated file is still read: its writers may not have noticed yet.
ROTATE_WAIT = 5.0

#: Lines published in one turn of the loop.
_TURN = 256

State = Literal["reading", "waiting", "unreadable"]


@dataclass(frozen=True, slots=True)
class ReadPosition:
    """The place up to which a file is published: the offset `end` of the descriptor `file`, which
    is the caller's to close.
    """

    file: int
    end: int


class Tail:
    """Once `run`, it goes on; a client that resumes misses nothing that came while it was away."""

    def __init__(self, source: Followable, journal: MemoryJournal, line_limit: int) -> None:
        self.source = source
        self.state: State = "reading"
        self._journal = journal
        self._line_limit = line_limit
        self._chain = source.chain(line_limit)
        self._look_again = 0.0
        self._current: LogFile | None = None
        self._rotated: list[tuple[LogFile, float]] = []
        # A file that was there before us is followed from its end, one that comes later from its
        # start.
        self._from_end = True
        self._open()

    def read_position(self) -> ReadPosition | None:
        """The place up to which the file is published, which is the journal's head at this moment;
        None where there is no file.
        """
        if self._current is None:
            return None
        return ReadPosition(os.dup(self._current.file), self._current.position)

    def announcement(self) -> bytes:
        """The event that a client which comes now must see first; empty where all is well."""
        return b"" if self.state == "reading" else sse.encode(self._fact(), event=self.state)

    async def run(self) -> None:
        """Follows the source until it is cancelled. Then `close` the tail."""
        while True:
            try:
                if not await self._step():
                    await asyncio.sleep(POLL)
            except OSError as error:
                self._become("unreadable", error)
                await asyncio.sleep(FAULT_PAUSE)

    def close(self) -> None:
        for log_file, _ in self._rotated:
            log_file.close()
        if self._current is not None:
            self._current.close()

    async def _step(self) -> bool:
        """Whether there may be more to do at once."""
        # Rotated files come first, and to their ends: their lines are older than those of their
        # successor.
        if await self._read_rotated():
            return True
        if self._current is not None and await self._read(self._current):
            return True
        if time.monotonic() < self._look_again:
            return False
        self._look_again = time.monotonic() + self._chain.interval
        return self._open() if self._current is None else await self._look(self._current)

    async def _read(self, log_file: LogFile) -> bool:
        lines = await log_file.read()
        if lines is None:
            return False
        await self._publish(log_file, lines)
        return True

    async def _publish(self, log_file: LogFile, lines: Iterator[Line]) -> None:
        for count, line in enumerate(lines, 1):
            # No await between these two: `read_position` relies on it.
            self._journal.append_now(NewEntry(self.source.id, line.json(self.source.id)))
            log_file.position = line.end
            if count % _TURN == 0:
                await asyncio.sleep(0)

    async def _look(self, current: LogFile) -> bool:
        """At the end of a file, looks whether it was truncated or has a successor."""
        if current.truncated:
            current.restart()
            self._tell("truncated")
            return True
        try:
            file = self._chain.next(current.identity)
        except (FileNotFoundError, NotADirectoryError):
            self._become("waiting")
            return False
        self._become("reading")
        if file is None:
            return False
        self._current = self._reclaim(self._log_file(file))
        self._rotated.append((current, time.monotonic() + ROTATE_WAIT))
        if current.joiner is not None and current.joiner is not self._chain.joiner:
            await self._publish(current, iter(current.joiner.rest()))
        self._tell("rotated")
        return True

    def _open(self) -> bool:
        try:
            file = self._chain.first(newest=self._from_end)
        except (FileNotFoundError, NotADirectoryError):
            self._from_end = False
            self._become("waiting")
            return False
        except OSError as error:
            self._become("unreadable", error)
            return False
        self._current = self._reclaim(self._log_file(file))
        self._from_end = False
        self._become("reading")
        return True

    def _log_file(self, file: int) -> LogFile:
        try:
            joiner = self._chain.joiner
            return LogFile(file, self._line_limit, joiner, from_end=self._from_end)
        except OSError:
            os.close(file)
            raise

    def _reclaim(self, log_file: LogFile) -> LogFile:
        """The log file of the same identity that is still held, if any: when a name is swapped
        back, the lines of the file were published already.
        """
        for held in self._rotated:
            if held[0].identity == log_file.identity:
                self._rotated.remove(held)
                log_file.close()
                return held[0]
        return log_file

    async def _read_rotated(self) -> bool:
        more = False
        for held in list(self._rotated):
            log_file, deadline = held
            if await self._read(log_file):
                more = True
            elif time.monotonic() >= deadline:
                await self._publish(log_file, log_file.rest())
                self._rotated.remove(held)
                log_file.close()
        return more

    def _become(self, state: State, error: OSError | None = None) -> None:
        if state == self.state:
            return
        self.state = state
        if state != "reading":
            _log.info("source %s is %s: %s", self.source.id, state, error or "no such file")
            self._tell(state)

    def _tell(self, event: str) -> None:
        self._journal.append_now(NewEntry(self.source.id, self._fact(), event=event))

    def _fact(self) -> str:
        return orjson.dumps({"source": self.source.id}).decode()
