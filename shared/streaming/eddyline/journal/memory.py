"""The journal of a single process, bounded by bytes and by age, and the backend around it."""

import itertools
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

from eddyline.journal.base import (
    KEY_AGE,
    Bounds,
    Entry,
    Follower,
    Gap,
    NewEntry,
    Page,
    Receipt,
)
from eddyline.journal.cursor import Cursor, new_epoch
from eddyline.journal.keys import Keys
from eddyline.journal.lost import LostTopics
from eddyline.journal.state import MemoryState

#: Bytes that an entry costs beside its frame: objects, indexes, a topic of usual length.
ENTRY_OVERHEAD = 500

#: Bytes that a further topic costs beside its text: its places in a tuple and an index.
TOPIC_OVERHEAD = 150

#: The share of the entries' bytes that may be taken beside them by topics that lost some.
LOST_SHARE = 16

#: Bytes that idempotency keys may take beside the entries: as many as these, and not fewer than
#: this.
LEAST_KEYS = 16 * 1024 * 1024


def size_of(entry: Entry) -> int:
    """The bytes that an entry takes in memory. A character of a topic takes up to four of them."""
    size = ENTRY_OVERHEAD + len(entry.frame) + sys.getsizeof(entry.topic) - sys.getsizeof("")
    for topic in entry.alternates:
        size += TOPIC_OVERHEAD + sys.getsizeof(topic)
    return size


class Window:
    """Consecutive entries, the newest ones: bounded by bytes and age (seconds)."""

    def __init__(self, head: Cursor, max_bytes: int, max_age: float | None = None) -> None:
        self.head: Cursor = head
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
        self._bytes += size_of(entry)
        self.head = entry.cursor
        return self.trim(entry.time)

    def trim(self, now: float) -> list[Entry]:
        gone = []
        while self._entries and self._is_over(self._entries[self._first], now):
            entry = self._entries.pop(self._first)
            self._bytes -= size_of(entry)
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
        """Why entries after a cursor are missing here; those that are may be of several epochs."""
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
        self._own_ids: dict[str, Entry] = {}
        #: The cursor of the newest entry of each topic, in the order of these entries.
        self._topics: dict[str, Cursor] = {}
        self._lost = LostTopics(max_bytes // LOST_SHARE)
        self._keys = Keys(self._window.head.epoch, key_age, max(max_bytes, LEAST_KEYS))

    @property
    def head(self) -> Cursor:
        """The newest entry's cursor."""
        return self._window.head

    async def append(self, batch: Sequence[NewEntry]) -> list[Receipt]:
        self._keys.make_room(batch)
        return [self._append_once(new) for new in batch]

    def append_now(self, new: NewEntry) -> Entry:
        """Appends one entry, for callers that are no coroutines and use no idempotency key."""
        head = self._window.head
        entry = Entry.from_new(new, Cursor(head.epoch, head.sequence + 1), time.time())
        if new.id is not None:
            self._own_ids[new.id] = entry
        for topic in entry.topics:
            self._topics.pop(topic, None)
            self._topics[topic] = entry.cursor
        self._forget(self._window.add(entry))
        for follower in self._followers:
            follower.deliver(entry)
        return entry

    async def read(self, after: Cursor | None, limit: int) -> Page:
        self._forget(self._window.trim(time.time()))
        page = self._window.page(after, limit)
        if after is None or page.gap != "trimmed":
            return page
        topics = self._lost.after(after.sequence)
        if topics is None:
            return page
        return replace(self._window.page(page.oldest, limit), lost=topics)

    async def locate(self, id: str) -> Entry | None:
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
            return self._append_new(new)
        known = self._keys.find(new)
        if known is not None:
            return known
        receipt = self._append_new(new)
        if receipt.outcome == "appended":
            self._keys.add(new, receipt)
        return receipt

    def _append_new(self, new: NewEntry) -> Receipt:
        owner = self._own_ids.get(new.id) if new.id is not None else None
        if owner is not None:
            same = Entry.from_new(new, owner.cursor, owner.time) == owner
            return Receipt(owner.cursor, owner.id, "repeated" if same else "taken")
        entry = self.append_now(new)
        return Receipt(entry.cursor, entry.id)

    def _forget(self, gone: list[Entry]) -> None:
        for entry in gone:
            if self._own_ids.get(entry.id) is entry:
                del self._own_ids[entry.id]
            for topic in entry.topics:
                if self._topics.get(topic) == entry.cursor:
                    del self._topics[topic]
                self._lost.add(topic, entry.cursor.sequence)


class MemoryBackend:
    """A hub that is one process, and is gone with it."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        bounds = bounds or Bounds()
        self.journal: Final = MemoryJournal(bounds.max_bytes, bounds.max_age, bounds.key_age)
        self.state: Final = MemoryState()
        self.signals: Final = self.journal

    @classmethod
    def from_url(cls, url: str, hub: str, bounds: Bounds, **_: Any) -> "MemoryBackend":
        return cls(bounds)

    def fault(self) -> None:
        return None

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        yield
