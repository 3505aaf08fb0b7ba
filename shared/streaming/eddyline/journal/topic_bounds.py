"""Entries of topics with bounds of their own: a topic that is full drops its oldest, no others'."""

import itertools
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from eddyline.journal.base import TopicBounds
from eddyline.journal.cursor import Cursor

#: Bytes that a topic takes here, an entry of it, and its place among those of its age.
TOPIC, ENTRY, AGED = 350, 130, 250

#: Entries that a topic keeps after they went, at least.
SLACK = 8

#: Entries of one age that are looked at in one go.
EXPIRED = 1000


@dataclass(slots=True)
class _Topic:
    """The retained entries of one topic, the oldest first: their sequences and sizes."""

    bytes: int = 0
    # A deque takes 760 bytes, and most topics have a few entries. Those before `start` are gone.
    entries: list[tuple[int, int]] = field(default_factory=list)
    start: int = 0

    def __len__(self) -> int:
        return len(self.entries) - self.start

    @property
    def oldest(self) -> int:
        return self.entries[self.start][0]

    def add(self, sequence: int, size: int) -> None:
        self.entries.append((sequence, size))
        self.bytes += size

    def drop(self) -> int:
        """Forgets the oldest entry; returns its sequence."""
        sequence, size = self.entries[self.start]
        self.bytes -= size
        self.start += 1
        if self.start >= SLACK and 2 * self.start >= len(self.entries):
            del self.entries[: self.start]
            self.start = 0
        return sequence


class BoundedTopics:
    """Knows which entries go by the bounds of their own topics. An entry is of its canonical one.

    `of_topic`: the bounds of a topic; None where only the journal's own hold.
    """

    def __init__(self, of_topic: Callable[[str], TopicBounds | None]) -> None:
        self._of_topic = of_topic
        #: Bytes that all this takes, beside the entries themselves.
        self.held: int = 0
        self._topics: dict[str, _Topic] = {}
        #: By age in seconds, and sequence: when an entry came, and its topic. The oldest first.
        self._ages: dict[float, OrderedDict[int, tuple[float, str]]] = {}

    def add(self, topic: str, sequence: int, size: int, now: float) -> list[int]:
        """Called with each new entry; returns the sequences of those that go."""
        bounds = self._of_topic(topic)
        if bounds is None:
            return []
        known = self._topics.get(topic)
        if known is None:
            known = self._topics[topic] = _Topic()
            self.held += TOPIC
        known.add(sequence, size)
        self.held += ENTRY
        if bounds.max_age is not None:
            self.held += AGED
            self._ages.setdefault(bounds.max_age, OrderedDict())[sequence] = (now, topic)
        return self._over(topic, bounds)

    def expired(self, now: float, head: int) -> list[int]:
        """The sequences of entries that are too old, but for the newest entry of the journal."""
        gone = []
        for age, entries in self._ages.items():
            for sequence, (came, topic) in list(itertools.islice(entries.items(), EXPIRED)):
                if now - came <= age or sequence == head:
                    break
                self._drop_oldest(topic)
                gone.append(sequence)
        return gone

    def start(self, topic: str, count: int, head: Cursor) -> int:
        """The sequence before the newest `count` entries of a topic."""
        known = self._topics.get(topic)
        if known is None:
            return head.sequence
        return known.entries[-min(count, len(known))][0] - 1

    def forget(self, topic: str, sequence: int) -> None:
        """Called where an entry went by other bounds: it was the oldest of its topic."""
        known = self._topics.get(topic)
        if known is not None and known.oldest == sequence:
            self._drop_oldest(topic)

    def _over(self, topic: str, bounds: TopicBounds) -> list[int]:
        known, gone = self._topics[topic], []
        while len(known) > 1 and (
            (bounds.max_entries is not None and len(known) > bounds.max_entries)
            or (bounds.max_bytes is not None and known.bytes > bounds.max_bytes)
        ):
            gone.append(self._drop_oldest(topic))
        return gone

    def _drop_oldest(self, topic: str) -> int:
        known = self._topics[topic]
        sequence = known.drop()
        self.held -= ENTRY
        if not len(known):
            del self._topics[topic]
            self.held -= TOPIC
        for entries in self._ages.values():
            if entries.pop(sequence, None) is not None:
                self.held -= AGED
        return sequence
