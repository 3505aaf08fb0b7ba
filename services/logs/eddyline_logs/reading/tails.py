"""The tails of a process: one for each source that clients follow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from eddyline.broadcast.subscriber import Subscriber
from eddyline.errors import Overloaded
from eddyline.journal.memory import MemoryJournal
from eddyline_logs.files.watches import Watches
from eddyline_logs.reading.file_chain import Followable
from eddyline_logs.reading.tail import Tail
from eddyline_logs.settings import LogsSettings

#: Seconds for which a tail goes on without readers. Clients that come later read the file.
GRACE = 10.0


class Reader:
    """Counts a subscriber as a reader of its tail while it is there."""

    def __init__(self, tails: "Tails", id: str) -> None:
        self._tails = tails
        self._id = id

    def joined(self, subscriber: Subscriber) -> None:
        self._tails.count(self._id, 1)

    def left(self) -> None:
        self._tails.count(self._id, -1)


class Tails:
    """Use it within `async with tails.run()`."""

    def __init__(self, journal: MemoryJournal, settings: LogsSettings) -> None:
        self._journal = journal
        self._settings = settings
        self._watches = Watches()
        #: The tail that was asked for longest ago comes first.
        self._tails: dict[str, Tail] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._readers: dict[str, int] = {}
        self._ends: dict[str, asyncio.TimerHandle] = {}
        self._ending: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        with self._watches.run():
            try:
                yield
            finally:
                for id in list(self._tails):
                    self._stop(id)
                await asyncio.gather(*self._ending, return_exceptions=True)

    async def get(self, source: Followable) -> Tail:
        """The tail of a source, started where there is none; Overloaded where too many are
        followed.
        """
        tail = self._tails.pop(source.id, None)
        if tail is None:
            self._make_room()
            tail = Tail(source, self._journal, self._settings.line_limit, self._watches)
            self._tasks[source.id] = asyncio.create_task(tail.run())
        self._tails[source.id] = tail
        self.count(source.id, 0)
        return tail

    def reader(self, source: Followable) -> Reader:
        """The object that tells of one reader's coming and going."""
        return Reader(self, source.id)

    def count(self, id: str, readers: int) -> None:
        """Adds readers; a tail without any ends after a while."""
        now = self._readers.get(id, 0) + readers
        self._readers[id] = now
        if (timer := self._ends.pop(id, None)) is not None:
            timer.cancel()
        if now <= 0 and id in self._tails:
            self._ends[id] = asyncio.get_running_loop().call_later(GRACE, self._stop, id)

    def _make_room(self) -> None:
        """Ends the tail without readers that was asked for longest ago. Files that are missing take
        up no room, but for memory.
        """
        if len(self._tails) < self._settings.tails:
            return
        idle = next((id for id in self._tails if not self._readers.get(id)), None)
        if idle is not None:
            self._stop(idle)
        elif (files := sum(tail.has_file for tail in self._tails.values())) >= self._settings.tails:
            raise Overloaded(f"{files} sources are followed: LOGS_TAILS allows no more", 30.0)

    def _stop(self, id: str) -> None:
        if (timer := self._ends.pop(id, None)) is not None:
            timer.cancel()
        self._readers.pop(id, None)
        ending = asyncio.create_task(_end(self._tails.pop(id), self._tasks.pop(id)))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)


async def _end(tail: Tail, task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    # Not in `run`, which a task that was cancelled at once never begins.
    tail.close()
