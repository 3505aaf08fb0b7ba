"""Entries that a journal no longer retains: their topics, and their own ids.

A reader of other topics missed nothing, and an id that is used up names no other entry.
"""

import sys
from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict

#: Topics that a page names. Where more have lost something, a reader asks for its own.
TOLD = 1000

#: Bytes that a topic, or an id, takes beside its text.
OVERHEAD = 200


class LostTopics:
    """The newest entry of each topic that is not retained, within `max_bytes`: of losses that were
    longest ago nobody knows the topics.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._newest: dict[str, int] = {}
        #: The same, by sequence: a topic with bounds of its own loses entries before older ones of
        #: other topics go.
        self._order: list[tuple[int, str]] = []
        #: The newest loss whose topic is not known.
        self._floor = 0

    def add(self, topic: str, sequence: int) -> None:
        known = self._newest.get(topic)
        if known is None:
            self._bytes += _size(topic)
        elif known >= sequence:
            return
        else:
            del self._order[bisect_left(self._order, (known, topic))]
        self._newest[topic] = sequence
        insort(self._order, (sequence, topic))
        while self._bytes > self._max_bytes:
            self._floor, oldest = self._order.pop(0)
            del self._newest[oldest]
            self._bytes -= _size(oldest)

    def after(self, sequence: int, asked: frozenset[str] | None = None) -> tuple[str, ...] | None:
        """The topics, of those that are `asked` for, that lost entries after one; None where that
        is not known.
        """
        if sequence < self._floor:
            return None
        if asked is not None:
            return tuple(topic for topic in asked if self._newest.get(topic, 0) > sequence)
        start = bisect_right(self._order, sequence, key=lambda lost: lost[0])
        newer = self._order[start : start + TOLD + 1]
        return tuple(topic for _, topic in newer) if len(newer) <= TOLD else None


class SpentIds:
    """The newest ids that were used up, within `max_bytes`.

    A client that has one of them would be taken to the new entry, and miss all that was between.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        #: Sequences by id, those that were used up first at the front.
        self._sequences: OrderedDict[str, int] = OrderedDict()

    def add(self, id: str, sequence: int) -> None:
        if id not in self._sequences:
            self._bytes += _size(id)
        self._sequences[id] = sequence
        while self._bytes > self._max_bytes:
            oldest, _ = self._sequences.popitem(last=False)
            self._bytes -= _size(oldest)

    def get(self, id: str) -> int | None:
        """The sequence of the entry that had the id."""
        return self._sequences.get(id)


def _size(text: str) -> int:
    return sys.getsizeof(text) + OVERHEAD
