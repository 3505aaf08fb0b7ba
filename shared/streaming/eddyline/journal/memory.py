"""The journal of a single process, bounded by bytes and by age, and the backend around it."""

import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

from eddyline.journal.base import (
    EVERYTHING,
    KEY_AGE,
    Bounds,
    Entry,
    Follower,
    Interest,
    Last,
    NewEntry,
    Page,
    Receipt,
    TopicBounds,
    unbounded,
)
from eddyline.journal.cursor import Cursor, new_epoch
from eddyline.journal.keys import Keys
from eddyline.journal.lost import LostTopics, SpentIds
from eddyline.journal.state import MemoryState
from eddyline.journal.topic_bounds import BoundedTopics
from eddyline.journal.window import SparseWindow, size_of

#: The share of the entries' bytes that may be taken beside them by topics that lost some.
LOST_SHARE = 16

#: The share that own ids of entries may take that went.
SPENT_SHARE = 16

#: Bytes that idempotency keys may take beside the entries: as many as these, and not fewer than
#: this.
LEAST_KEYS = 16 * 1024 * 1024


class MemoryJournal:
    """A journal in the memory of one process, bounded by bytes and by age (seconds)."""

    def __init__(
        self,
        max_bytes: int = 64 * 1024 * 1024,
        max_age: float | None = 3600.0,
        key_age: float = KEY_AGE,
        of_topic: Callable[[str], TopicBounds | None] = unbounded,
    ) -> None:
        self._bounded = BoundedTopics(of_topic)
        self._window = SparseWindow(Cursor(new_epoch(), 0), max_bytes, max_age, self._bounded)
        self._followers: list[Follower] = []
        self._own_ids: dict[str, Entry] = {}
        self._spent = SpentIds(max_bytes // SPENT_SHARE)
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
        # A topic that is full drops its own entries before others would have to go.
        size, at = size_of(entry), entry.cursor.sequence
        self._remove(self._bounded.add(entry.topic, at, size, entry.time))
        self._forget(self._window.add(entry))
        for follower in self._followers:
            follower.deliver(entry)
        return entry

    async def read(self, after: Cursor | None, limit: int, interest: Interest = EVERYTHING) -> Page:
        self._trim()
        if interest.last:
            return self._last(interest.last, limit)
        page = self._window.page(after, limit)
        if after is None or page.gap not in (None, "trimmed"):
            return page
        since = after.sequence if page.gap else max(after.sequence, interest.since)
        topics = self._lost.after(since, interest.topics)
        if topics is None:
            return replace(page, entries=[], gap="trimmed")
        if page.gap:
            page = self._window.page(page.oldest, limit)
        return replace(page, lost=topics)

    def _last(self, last: Last, limit: int) -> Page:
        head = self.head
        starts = {topic: self._bounded.start(topic, count, head) for topic, count in last}
        start = Cursor(head.epoch, min(starts.values()))
        return replace(self._window.page(start, limit), oldest=start, starts=starts)

    async def locate(self, id: str) -> Entry | None:
        return self._own_ids.get(id)

    async def topics(self, limit: int, before: int | None = None) -> list[tuple[str, Cursor]]:
        self._trim()
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
        if new.id is not None and (spent := self._spent.get(new.id)) is not None:
            return Receipt(Cursor(self.head.epoch, spent), new.id, "taken")
        entry = self.append_now(new)
        return Receipt(entry.cursor, entry.id)

    def _trim(self) -> None:
        now = time.time()
        self._forget(self._window.trim(now))
        self._remove(self._bounded.expired(now, self.head.sequence))

    def _remove(self, sequences: Iterable[int]) -> None:
        self._forget([self._window.remove(sequence) for sequence in sequences])

    def _forget(self, gone: list[Entry]) -> None:
        for entry in gone:
            if self._own_ids.get(entry.id) is entry:
                del self._own_ids[entry.id]
                self._spent.add(entry.id, entry.cursor.sequence)
            for topic in entry.topics:
                if self._topics.get(topic) == entry.cursor:
                    del self._topics[topic]
                self._lost.add(topic, entry.cursor.sequence)


class MemoryBackend:
    """A hub that is one process, and is gone with it."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        bounds = bounds or Bounds()
        self.journal: Final = MemoryJournal(
            bounds.max_bytes, bounds.max_age, bounds.key_age, bounds.of_topic
        )
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
