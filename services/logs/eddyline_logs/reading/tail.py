"""A tail: follows one source as `tail -F` does, and publishes its lines to the journal for all who
read it.

Polling is the truth: it works on every file system, and a rotation is seen whatever tool does it.
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
from eddyline_logs.reading.lines import Line
from eddyline_logs.reading.log_file import Generation
from eddyline_logs.sources.base import Source

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
class Mark:
    """What is published: a file descriptor, the caller's to close, up to the offset `end`."""

    file: int
    end: int


class Tail:
    """Once `run`, it goes on; a client that resumes misses nothing that came while it was away."""

    def __init__(self, source: Source, journal: MemoryJournal, line_limit: int) -> None:
        self.source = source
        self.state: State = "reading"
        self._journal = journal
        self._line_limit = line_limit
        self._trail = source.trail(line_limit)
        self._look_again = 0.0
        self._current: Generation | None = None
        self._rotated: list[tuple[Generation, float]] = []
        # A file that was there before us is followed from its end, one that comes later from its
        # start.
        self._from_end = True
        self._open()

    def mark(self) -> Mark | None:
        """What is published now; None where there is no file. Consistent with the journal's head
        at this moment.
        """
        if self._current is None:
            return None
        return Mark(os.dup(self._current.file), self._current.position)

    def announcement(self) -> bytes:
        """What a client that comes now must be told first: nothing where all is well."""
        return b"" if self.state == "reading" else sse.encode(self._fact(), event=self.state)

    async def run(self) -> None:
        """Until it is cancelled; then `close` it."""
        while True:
            try:
                if not await self._step():
                    await asyncio.sleep(POLL)
            except OSError as error:
                self._become("unreadable", error)
                await asyncio.sleep(FAULT_PAUSE)

    def close(self) -> None:
        for generation, _ in self._rotated:
            generation.close()
        if self._current is not None:
            self._current.close()

    async def _step(self) -> bool:
        """Whether there may be more to do at once."""
        # First, and to their ends: what a file had before it was rotated comes before its
        # successor.
        if await self._read_rotated():
            return True
        if self._current is not None and await self._read(self._current):
            return True
        if time.monotonic() < self._look_again:
            return False
        self._look_again = time.monotonic() + self._trail.interval
        return self._open() if self._current is None else await self._look(self._current)

    async def _read(self, generation: Generation) -> bool:
        lines = await generation.read()
        if lines is None:
            return False
        await self._publish(generation, lines)
        return True

    async def _publish(self, generation: Generation, lines: Iterator[Line]) -> None:
        for count, line in enumerate(lines, 1):
            # These two without an await between them: `mark` relies on it.
            self._journal.append_now(NewEntry(self.source.id, line.json(self.source.id)))
            generation.position = line.end
            if count % _TURN == 0:
                await asyncio.sleep(0)

    async def _look(self, current: Generation) -> bool:
        """At the end of the file: is it still the one of that name?"""
        if current.truncated:
            current.restart()
            self._tell("truncated")
            return True
        try:
            file = self._trail.next(current.identity)
        except (FileNotFoundError, NotADirectoryError):
            self._become("waiting")
            return False
        self._become("reading")
        if file is None:
            return False
        self._current = self._reclaim(self._generation(file))
        self._rotated.append((current, time.monotonic() + ROTATE_WAIT))
        if current.joiner is not None and current.joiner is not self._trail.joiner:
            await self._publish(current, iter(current.joiner.rest()))
        self._tell("rotated")
        return True

    def _open(self) -> bool:
        try:
            file = self._trail.first(newest=self._from_end)
        except (FileNotFoundError, NotADirectoryError):
            self._from_end = False
            self._become("waiting")
            return False
        except OSError as error:
            self._become("unreadable", error)
            return False
        self._current = self._reclaim(self._generation(file))
        self._from_end = False
        self._become("reading")
        return True

    def _generation(self, file: int) -> Generation:
        try:
            joiner = self._trail.joiner
            return Generation(file, self._line_limit, joiner, from_end=self._from_end)
        except OSError:
            os.close(file)
            raise

    def _reclaim(self, generation: Generation) -> Generation:
        """The one of the same file that is still held, when a name is swapped back: its lines were
        published.
        """
        for held in self._rotated:
            if held[0].identity == generation.identity:
                self._rotated.remove(held)
                generation.close()
                return held[0]
        return generation

    async def _read_rotated(self) -> bool:
        more = False
        for held in list(self._rotated):
            generation, deadline = held
            if await self._read(generation):
                more = True
            elif time.monotonic() >= deadline:
                await self._publish(generation, generation.rest())
                self._rotated.remove(held)
                generation.close()
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
