"""Journals: ordered entries, read from a cursor. `MemoryJournal` is the one of a single process."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Literal, Protocol

from streaming import sse
from streaming.cursor import Cursor, new_epoch

#: Why what follows a cursor cannot be read: it is no longer retained, of another life of the
#: journal, ahead of the
#: head, or an id that nobody knows.
Gap = Literal["trimmed", "epoch", "future", "unknown"]

#: What an entry costs beside its frame, in bytes: objects, indexes.
ENTRY_OVERHEAD = 500


@dataclass(frozen=True, slots=True)
class NewEntry:
    """What a publisher gives. `id`: its own event id, in place of the cursor; `retry` is in
    milliseconds.
    """

    topic: str
    data: str
    event: str | None = None
    id: str | None = None
    retry: int | None = None
    private: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a journal; `frame` is what every subscriber gets, encoded once. `time` is in
    unix seconds.
    """

    cursor: Cursor
    topic: str
    frame: bytes
    private: bool
    time: float
    id: str

    @classmethod
    def of(cls, new: NewEntry, cursor: Cursor, at: float) -> "Entry":
        id = new.id if new.id is not None else str(cursor)
        frame = sse.encode(new.data, event=new.event, id=id, retry=new.retry)
        return cls(cursor, new.topic, frame, new.private, at, id)


@dataclass(frozen=True, slots=True)
class Page:
    """Entries that follow a cursor, or the reason why they cannot be told; `oldest` reads all
    that is retained.
    """

    entries: list[Entry]
    oldest: Cursor
    gap: Gap | None = None


class Journal(Protocol):
    """Ordered entries of one hub. Sequences count up by one within an epoch, from 1."""

    async def append(self, new: NewEntry) -> Entry:
        """Adds an entry; it is in the journal when this returns."""

    async def read(self, after: Cursor | None, limit: int) -> Page:
        """Up to `limit` entries after a cursor; None reads from the oldest."""

    async def locate(self, id: str) -> Cursor | None:
        """The cursor of the oldest entry with a publisher's own id."""

    def follow(self, deliver: Callable[[Entry], None]) -> AbstractAsyncContextManager[Cursor]:
        """Calls `deliver` with each entry after the cursor that it yields, in order, in the
        event loop.
        """

    async def head(self) -> Cursor:
        """The cursor of the newest entry; sequence 0 where there was none."""


class Window:
    """Consecutive entries, the newest ones: bounded by bytes and age (seconds)."""

    def __init__(self, head: Cursor, max_bytes: int, max_age: float | None = None) -> None:
        self.head = head
        self._first = head.sequence + 1
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._bytes = 0
        # By sequence, for a look-up in the middle. Sequences have no holes: the oldest is always
        # `_first`.
        self._entries: dict[int, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def oldest(self) -> Cursor:
        """The cursor before the oldest entry."""
        return Cursor(self.head.epoch, self._first - 1)

    def add(self, entry: Entry) -> list[Entry]:
        """Adds the next entry; returns those that had to go."""
        self._entries[entry.cursor.sequence] = entry
        self._bytes += len(entry.frame) + ENTRY_OVERHEAD
        self.head = entry.cursor
        return self.trim(entry.time)

    def trim(self, now: float) -> list[Entry]:
        gone = []
        while self._entries and self._is_over(self._entries[self._first], now):
            entry = self._entries.pop(self._first)
            self._bytes -= len(entry.frame) + ENTRY_OVERHEAD
            self._first += 1
            gone.append(entry)
        return gone

    def _is_over(self, entry: Entry, now: float) -> bool:
        if self._bytes > self._max_bytes and len(self._entries) > 1:
            return True
        return self._max_age is not None and now - entry.time > self._max_age

    def page(self, after: Cursor | None, limit: int) -> Page:
        gap = None if after is None else self.gap(after)
        if gap is not None:
            return Page([], self.oldest, gap)
        start = self._first if after is None else after.sequence + 1
        stop = min(start + limit, self.head.sequence + 1)
        return Page([self._entries[n] for n in range(start, stop)], self.oldest)

    def gap(self, after: Cursor) -> Gap | None:
        if after.epoch != self.head.epoch:
            return "epoch"
        if after.sequence > self.head.sequence:
            return "future"
        return "trimmed" if after.sequence < self._first - 1 else None


class MemoryJournal:
    """A journal in the memory of one process, bounded by bytes and by age (seconds)."""

    def __init__(self, max_bytes: int = 64 * 1024 * 1024, max_age: float | None = 3600.0) -> None:
        self._window = Window(Cursor(new_epoch(), 0), max_bytes, max_age)
        self._followers: list[Callable[[Entry], None]] = []
        self._own_ids: dict[str, Cursor] = {}

    async def append(self, new: NewEntry) -> Entry:
        return self.append_now(new)

    def append_now(self, new: NewEntry) -> Entry:
        """`append` for callers that are no coroutines."""
        head = self._window.head
        entry = Entry.of(new, Cursor(head.epoch, head.sequence + 1), time.time())
        if new.id is not None:
            self._own_ids.setdefault(new.id, entry.cursor)
        self._forget(self._window.add(entry))
        for deliver in self._followers:
            deliver(entry)
        return entry

    async def read(self, after: Cursor | None, limit: int) -> Page:
        self._forget(self._window.trim(time.time()))
        return self._window.page(after, limit)

    async def locate(self, id: str) -> Cursor | None:
        return self._own_ids.get(id)

    @asynccontextmanager
    async def follow(self, deliver: Callable[[Entry], None]) -> AsyncIterator[Cursor]:
        self._followers.append(deliver)
        try:
            yield self._window.head
        finally:
            self._followers.remove(deliver)

    async def head(self) -> Cursor:
        return self._window.head

    def _forget(self, gone: list[Entry]) -> None:
        for entry in gone:
            if self._own_ids.get(entry.id) == entry.cursor:
                del self._own_ids[entry.id]
