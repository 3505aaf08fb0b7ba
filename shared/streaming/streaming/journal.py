"""Journals: ordered entries, read from a cursor. `MemoryJournal` is the one of a single process."""

import itertools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, Protocol

from streaming import sse
from streaming.cursor import Cursor, new_epoch

#: Why what follows a cursor cannot be read: it is no longer retained, of another life of the
#: journal, ahead of the
#: head, or an id that nobody knows.
Gap = Literal["trimmed", "epoch", "future", "unknown"]

#: What an entry costs beside its frame, in bytes: objects, indexes.
ENTRY_OVERHEAD = 500


#: How an append went: added now; added before, under the same idempotency key; or refused, because
#: that key was used for another entry.
Outcome = Literal["appended", "repeated", "conflict"]

#: Seconds for which an idempotency key is remembered, where nothing else is said.
KEY_AGE = 3600.0


# One of each of these three is made per event, and never changed. Not frozen: making one would
# take seven times as long (2.3 µs, of the 15 that an event in a batch costs in all).


@dataclass(slots=True)
class NewEntry:
    """What a publisher gives.

    `id`: its own event id, in place of the cursor; `retry` is in milliseconds; `alternates`: more
    topics of the same entry; `json`: `data` is a JSON text; `key`: an idempotency key.
    """

    topic: str
    data: str
    event: str | None = None
    id: str | None = None
    retry: int | None = None
    private: bool = False
    alternates: tuple[str, ...] = ()
    json: bool = False
    key: str | None = None

    def digest(self) -> str:
        """What tells whether two entries under one idempotency key are the same."""
        fields = (self.topic, self.data, self.event, self.id, self.retry, self.private)
        text = repr((*fields, self.alternates, self.json))
        return blake2b(text.encode(errors="surrogatepass"), digest_size=9).hexdigest()


@dataclass(slots=True)
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
    alternates: tuple[str, ...] = ()
    json: bool = False

    @classmethod
    def of(cls, new: NewEntry, cursor: Cursor, at: float) -> "Entry":
        id = new.id if new.id is not None else str(cursor)
        frame = sse.encode(new.data, event=new.event, id=id, retry=new.retry)
        return cls(cursor, new.topic, frame, new.private, at, id, new.alternates, new.json)

    @property
    def topics(self) -> tuple[str, ...]:
        """The canonical topic first."""
        return (self.topic, *self.alternates)


@dataclass(slots=True)
class Receipt:
    """Where an appended entry is, and under which id."""

    cursor: Cursor
    id: str
    outcome: Outcome = "appended"


@dataclass(frozen=True, slots=True)
class Page:
    """Entries that follow a cursor, or the reason why they cannot be told.

    `oldest` is the cursor that reads all that is retained, `head` that of the newest entry
    (sequence 0 where there was none).
    """

    entries: list[Entry]
    oldest: Cursor
    head: Cursor
    gap: Gap | None = None


class Follower(Protocol):
    """Who is told what a journal gets. Called in the event loop; never blocks."""

    def deliver(self, entry: Entry) -> None:
        """The entry that follows the last one, or the cursor last skipped to."""

    def skip(self, head: Cursor) -> None:
        """What lies before `head` is not delivered: whoever needs it reads it."""

    def relay(self, topic: str, data: str) -> None:
        """An event beside the journal: without a cursor, for whoever is there now."""

    def signal(self, message: bytes) -> None:
        """What a process of this hub said to all of them (`Signals`)."""


class Signals(Protocol):
    """Messages to every process that follows a hub, the sender included; at most once each."""

    async def signal(self, message: bytes) -> None: ...


class Journal(Protocol):
    """Ordered entries of one hub. Sequences count up by one, from 1, over all epochs of a life."""

    async def append(self, batch: Sequence[NewEntry]) -> list[Receipt]:
        """Adds entries, in order; they are in the journal when this returns, one receipt each.

        Raises Unavailable where that can't be said.
        """

    async def read(self, after: Cursor | None, limit: int) -> Page:
        """Up to `limit` entries after a cursor; None reads from the oldest."""

    async def locate(self, id: str) -> Cursor | None:
        """The cursor of the oldest entry with a publisher's own id."""

    async def topics(self, limit: int, before: int | None = None) -> list[tuple[str, Cursor]]:
        """Retained topics with their newest entries, the newest first; `before`: a sequence."""

    def follow(self, follower: Follower) -> AbstractAsyncContextManager[None]:
        """Tells the follower what comes: first a `skip`, then each entry once, in order."""


class Window:
    """Consecutive entries, the newest ones: bounded by bytes and age (seconds)."""

    def __init__(self, head: Cursor, max_bytes: int, max_age: float | None = None) -> None:
        self.head = head
        self._base = head
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
            self._base = entry.cursor
            gone.append(entry)
        return gone

    def _is_over(self, entry: Entry, now: float) -> bool:
        if self._bytes > self._max_bytes and len(self._entries) > 1:
            return True
        return self._max_age is not None and now - entry.time > self._max_age

    def page(self, after: Cursor | None, limit: int) -> Page:
        gap = None if after is None else self.gap(after)
        if gap is not None:
            return Page([], self.oldest, self.head, gap)
        start = self._first if after is None else after.sequence + 1
        stop = min(start + limit, self.head.sequence + 1)
        return Page([self._entries[n] for n in range(start, stop)], self.oldest, self.head)

    def gap(self, after: Cursor) -> Gap | None:
        """Why what follows a cursor is not all here; entries may be of several epochs."""
        sequence, current = after.sequence, after.epoch == self.head.epoch
        if sequence > self.head.sequence:
            return "future" if current else "epoch"
        if sequence < self._first - 1:
            return "trimmed" if current else "epoch"
        known = self._base if sequence == self._first - 1 else self._entries[sequence].cursor
        return None if current or known == after else "epoch"


class MemoryJournal:
    """A journal in the memory of one process, bounded by bytes and by age (seconds)."""

    def __init__(
        self,
        max_bytes: int = 64 * 1024 * 1024,
        max_age: float | None = 3600.0,
        key_age: float = KEY_AGE,
    ) -> None:
        self._window = Window(Cursor(new_epoch(), 0), max_bytes, max_age)
        self._followers: list[Follower] = []
        self._own_ids: dict[str, Cursor] = {}
        #: In the order of their newest entries.
        self._topics: dict[str, Cursor] = {}
        #: By idempotency key, the oldest first: when, what, and its receipt.
        self._keys: dict[str, tuple[float, str, Receipt]] = {}
        self._key_age = key_age

    async def append(self, batch: Sequence[NewEntry]) -> list[Receipt]:
        return [self._append_once(new) for new in batch]

    def append_now(self, new: NewEntry) -> Entry:
        """Appends one entry, for callers that are no coroutines and use no idempotency key."""
        head = self._window.head
        entry = Entry.of(new, Cursor(head.epoch, head.sequence + 1), time.time())
        if new.id is not None:
            self._own_ids.setdefault(new.id, entry.cursor)
        for topic in entry.topics:
            self._topics.pop(topic, None)
            self._topics[topic] = entry.cursor
        self._forget(self._window.add(entry))
        for follower in self._followers:
            follower.deliver(entry)
        return entry

    async def read(self, after: Cursor | None, limit: int) -> Page:
        self._forget(self._window.trim(time.time()))
        return self._window.page(after, limit)

    async def locate(self, id: str) -> Cursor | None:
        return self._own_ids.get(id)

    async def topics(self, limit: int, before: int | None = None) -> list[tuple[str, Cursor]]:
        self._forget(self._window.trim(time.time()))
        found = (
            (topic, cursor)
            for topic, cursor in reversed(self._topics.items())
            if before is None or cursor.sequence < before
        )
        return list(itertools.islice(found, limit))

    @asynccontextmanager
    async def follow(self, follower: Follower) -> AsyncIterator[None]:
        follower.skip(self._window.head)
        self._followers.append(follower)
        try:
            yield
        finally:
            self._followers.remove(follower)

    async def signal(self, message: bytes) -> None:
        for follower in self._followers:
            follower.signal(message)

    def _append_once(self, new: NewEntry) -> Receipt:
        if new.key is None:
            entry = self.append_now(new)
            return Receipt(entry.cursor, entry.id)
        now = time.time()
        while self._keys and now - next(iter(self._keys.values()))[0] > self._key_age:
            del self._keys[next(iter(self._keys))]
        known = self._keys.get(new.key)
        if known is not None:
            outcome: Outcome = "repeated" if known[1] == new.digest() else "conflict"
            return Receipt(known[2].cursor, known[2].id, outcome)
        entry = self.append_now(new)
        receipt = Receipt(entry.cursor, entry.id)
        self._keys[new.key] = (now, new.digest(), receipt)
        return receipt

    def _forget(self, gone: list[Entry]) -> None:
        for entry in gone:
            if self._own_ids.get(entry.id) == entry.cursor:
                del self._own_ids[entry.id]
            for topic in entry.topics:
                if self._topics.get(topic) == entry.cursor:
                    del self._topics[topic]
