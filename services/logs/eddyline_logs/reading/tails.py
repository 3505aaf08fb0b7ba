"""The tails of a process: one for each source that any client has asked for."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from eddyline.errors import Overloaded
from eddyline.journal.memory import MemoryJournal
from eddyline_logs.reading.file_chain import Followable
from eddyline_logs.reading.tail import Tail
from eddyline_logs.settings import LogsSettings


class Tails:
    """Use it within `async with tails.run()`."""

    def __init__(self, journal: MemoryJournal, settings: LogsSettings) -> None:
        self._journal = journal
        self._settings = settings
        self._tails: dict[str, Tail] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._asked: dict[str, float] = {}
        # A tail that no client has asked for in that time can stop: no open stream is older than
        # `max_age`, and nobody can resume from before `journal_age`.
        self._forgettable = settings.max_age + settings.journal_age

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            for id in list(self._tails):
                await self._stop(id)

    async def get(self, source: Followable) -> Tail:
        """The tail of a source, started where it is the first time; Overloaded where too many are
        followed.
        """
        tail = self._tails.get(source.id)
        if tail is None:
            await self._make_room()
            tail = self._tails.get(source.id) or self._start(source)
        self._asked[source.id] = time.monotonic()
        return tail

    def _start(self, source: Followable) -> Tail:
        tail = Tail(source, self._journal, self._settings.line_limit)
        self._tails[source.id] = tail
        self._tasks[source.id] = asyncio.create_task(tail.run())
        return tail

    async def _make_room(self) -> None:
        if len(self._tails) < self._settings.tails:
            return
        now = time.monotonic()
        for id, asked in list(self._asked.items()):
            if now - asked > self._forgettable:
                await self._stop(id)
        if len(self._tails) >= self._settings.tails:
            raise Overloaded(
                f"{len(self._tails)} sources are followed: LOGS_TAILS allows no more", 30.0
            )

    async def _stop(self, id: str) -> None:
        task = self._tasks.pop(id)
        tail = self._tails.pop(id)
        self._asked.pop(id, None)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        # Not in `run`, which a task that was cancelled at once never begins.
        tail.close()
