"""Consecutive entries in memory: those of a journal, or the newest ones that a process keeps."""

import itertools
import sys
from bisect import bisect_left

from eddyline.journal.base import Entry, Gap, Page
from eddyline.journal.cursor import Cursor
from eddyline.journal.topic_bounds import BoundedTopics

#: Bytes that an entry costs beside its frame: objects, indexes, a topic of usual length.
ENTRY_OVERHEAD = 500

#: Bytes that a further topic costs beside its text: its places in a tuple and an index.
TOPIC_OVERHEAD = 150

#: Sequences of entries that went which a window keeps, beside as many as it has entries.
ORDER_SLACK = 1000


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
        # By sequence, for a look-up in the middle: the oldest is always `_first`.
        self._entries: dict[int, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def held(self) -> int:
        """Bytes of memory, about."""
        return self._bytes

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
            gone.append(self._drop_first())
        return gone

    def _drop_first(self) -> Entry:
        entry = self._entries.pop(self._first)
        self._bytes -= size_of(entry)
        self._first += 1
        self._base = entry.cursor
        return entry

    def _is_over(self, entry: Entry, now: float) -> bool:
        if self.held > self._max_bytes and len(self._entries) > 1:
            return True
        return self._max_age is not None and now - entry.time > self._max_age

    def page(self, after: Cursor | None, limit: int) -> Page:
        gap = None if after is None else self.gap(after)
        if gap is not None:
            return Page([], self.oldest, self.head, gap)
        start = self._first if after is None else after.sequence + 1
        return Page(self._from(start, limit), self.oldest, self.head)

    def _from(self, start: int, limit: int) -> list[Entry]:
        stop = min(start + limit, self.head.sequence + 1)
        return [self._entries[n] for n in range(start, stop)]

    def gap(self, after: Cursor) -> Gap | None:
        """Why entries after a cursor are missing here; those that are may be of several epochs."""
        sequence, current = after.sequence, after.epoch == self.head.epoch
        if sequence > self.head.sequence:
            return "future" if current else "epoch"
        if sequence < self._first - 1:
            return "trimmed" if current else "epoch"
        entry = self._entries.get(sequence)
        known = self._base if entry is None else entry.cursor
        return None if current or known == after else "epoch"


class SparseWindow(Window):
    """A window of one epoch, of which entries in the middle go by the bounds of their topics."""

    def __init__(
        self, head: Cursor, max_bytes: int, max_age: float | None, bounded: BoundedTopics
    ) -> None:
        super().__init__(head, max_bytes, max_age)
        self._bounded = bounded
        #: Sequences of entries, some of which are gone.
        self._order: list[int] = []

    @property
    def held(self) -> int:
        return self._bytes + self._bounded.held

    def add(self, entry: Entry) -> list[Entry]:
        self._order.append(entry.cursor.sequence)
        if len(self._order) > 2 * len(self._entries) + ORDER_SLACK:
            self._order = [*self._entries, entry.cursor.sequence]
        return super().add(entry)

    def remove(self, sequence: int) -> Entry:
        entry = self._entries.pop(sequence)
        self._bytes -= size_of(entry)
        self._skip_missing()
        return entry

    def _drop_first(self) -> Entry:
        entry = super()._drop_first()
        # At once: its share of the index counts.
        self._bounded.forget(entry.topic, entry.cursor.sequence)
        self._skip_missing()
        return entry

    def _skip_missing(self) -> None:
        while self._first <= self.head.sequence and self._first not in self._entries:
            self._first += 1

    def _from(self, start: int, limit: int) -> list[Entry]:
        at = itertools.islice(self._order, bisect_left(self._order, start), None)
        present = (self._entries[n] for n in at if n in self._entries)
        return list(itertools.islice(present, limit))
