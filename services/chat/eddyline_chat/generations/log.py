"""The log of one answer: written by itself as fast as the store takes it, never awaited."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from eddyline.errors import NotFound, Overloaded, Unavailable
from eddyline.journal.cursor import Cursor
from eddyline.store.base import (
    Batch,
    StaleWriter,
    StreamEnded,
    StreamFull,
    StreamStore,
)

#: Bytes that may wait for the store, before the upstream is paused.
_WAITING = 1024 * 1024

#: Seconds for which a store that is away is asked again, and between two times.
_PATIENCE = 10.0
_PAUSE = 0.2


class Log:
    """Records on their way into a stream of the store.

    The first record goes alone and at once; those that follow are written together while a write is
    under way. `on_full`: too much waits; `on_room`: no more so. `on_closed`: another has ended the
    stream, or the store takes no more.
    """

    def __init__(
        self,
        store: StreamStore,
        key: str,
        head: Cursor,
        *,
        on_full: Callable[[], None],
        on_room: Callable[[], None],
        on_closed: Callable[[], None],
    ) -> None:
        self._store = store
        self._key = key
        self._head = head
        self._on_full = on_full
        self._on_room = on_room
        self._on_closed = on_closed
        self._records: list[bytes] = []
        self._size = 0
        self._end: str | None = None
        self._wake = asyncio.Event()
        self._full = False

    def add(self, records: Sequence[bytes]) -> None:
        """Hands over records, which are written soon."""
        self._records += records
        self._size += sum(map(len, records))
        self._wake.set()
        if self._size > _WAITING and not self._full:
            self._full = True
            self._on_full()

    def end(self, reason: str, records: Sequence[bytes]) -> None:
        """Hands over the last records; they and the end are one write."""
        self._end = reason
        self.add(records)

    async def run(self) -> None:
        """Returns when the end is written, or the store takes no more."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch = Batch(self._records, self._end, after=self._head)
            self._records, self._size = [], 0
            if self._full:
                self._full = False
                self._on_room()
            if not await self._write(batch):
                self._on_closed()
                return
            if batch.end is not None:
                return

    async def _write(self, batch: Batch) -> bool:
        """Whether the batch is in the stream."""
        there = self._head.sequence + len(batch.records)
        until, again = asyncio.get_running_loop().time() + _PATIENCE, False
        while True:
            try:
                written = await self._store.append(self._key, replace(batch, after=self._head))
                self._head = written.info.head
                return True
            except StaleWriter as error:
                before, self._head = self._head.sequence, error.head
                if again and error.head.sequence == there:
                    return True  # the write whose answer was lost
                if error.head.sequence != before:
                    return False
                # The store goes on under another epoch, and has lost nothing.
            except (StreamEnded, NotFound, Overloaded):
                return False
            except StreamFull:
                return await self._write_full(batch)
            except Unavailable:
                if asyncio.get_running_loop().time() > until:
                    return False
                again = True
                await asyncio.sleep(_PAUSE)

    async def _write_full(self, batch: Batch) -> bool:
        """The last records alone still fit."""
        if batch.end is None or len(batch.records) <= 1:
            return False
        return await self._write(replace(batch, records=batch.records[-1:]))
