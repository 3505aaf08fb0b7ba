"""Which audiences, or callers, an entry may be for: a look-up, however many topics and patterns."""

import asyncio
import sys
from collections import Counter
from collections.abc import Collection, Hashable
from typing import Generic, Protocol, TypeVar

from eddyline.broadcast.audience import Selector
from eddyline.journal.base import Entry
from eddyline.journal.cursor import Cursor

#: Bytes of the topics, and of the answers of patterns, that are remembered.
MEMO_BYTES = 8 * 1024 * 1024

#: Bytes that a remembered topic takes beside its text: its place in a dict, and a tuple.
MEMO_OVERHEAD = 200

#: Patterns that are cheaper to ask than to remember.
FEW = 4


class Selecting(Hashable, Protocol):
    """Anything that has a selector of entries."""

    @property
    def selector(self) -> Selector: ...


T = TypeVar("T", bound=Selecting)


class _Patterns(Generic[T]):
    """The patterns whose topics begin with one prefix; their answers on a topic are remembered."""

    __slots__ = ("_memo", "items")

    def __init__(self) -> None:
        self.items: set[T] = set()
        self._memo: dict[str, tuple[T, ...]] = {}

    def change(self) -> int:
        """Forgets all answers; returns the bytes that they took."""
        freed = sum(map(_size, self._memo, self._memo.values()))
        self._memo.clear()
        return freed

    def of(self, topic: str) -> tuple[Collection[T], int]:
        """The patterns that may match, and the bytes that this answer takes from now on."""
        if len(self.items) <= FEW:
            return self.items, 0
        known = self._memo.get(topic)
        if known is not None:
            return known, 0
        found = tuple(item for item in self.items if item.selector.may_match(topic))
        self._memo[topic] = found
        return found, _size(topic, found)


class TopicIndex(Generic[T]):
    """Exact topics are a look-up, and so are the literal beginnings of patterns: a pattern is asked
    about topics that begin as it does, and no others.
    """

    def __init__(self) -> None:
        self._exact: dict[str, set[T]] = {}
        self._patterns: dict[str, _Patterns[T]] = {}
        #: How many of the prefixes have each length.
        self._lengths: Counter[int] = Counter()
        self._memo_bytes = 0

    @property
    def topics(self) -> int:
        """Exact topics that somebody asked for."""
        return len(self._exact)

    def add(self, item: T) -> None:
        for topic in item.selector.topics:
            self._exact.setdefault(topic, set()).add(item)
        for prefix in item.selector.prefixes:
            patterns = self._patterns.get(prefix)
            if patterns is None:
                patterns = self._patterns[prefix] = _Patterns()
                self._lengths[len(prefix)] += 1
            patterns.items.add(item)
            self._memo_bytes -= patterns.change()

    def remove(self, item: T) -> None:
        for topic in item.selector.topics:
            self._exact[topic].discard(item)
            if not self._exact[topic]:
                del self._exact[topic]
        for prefix in item.selector.prefixes:
            self._remove_pattern(prefix, item)

    def candidates(self, entry: Entry) -> Collection[T]:
        """Each audience once whose selector may match; `matches` has the last word."""
        if not entry.alternates and not self._patterns:
            return self._exact.get(entry.topic, ())
        found: Collection[T] = ()
        for topic in entry.topics:
            for some in self._of(topic):
                found = {*found, *some} if found else some
        return found

    def _of(self, topic: str) -> list[Collection[T]]:
        """Sets of audiences that may get this topic; none of them is empty."""
        exact = self._exact.get(topic)
        found: list[Collection[T]] = [exact] if exact else []
        for length in self._lengths:
            patterns = self._patterns.get(topic[:length])
            if patterns is not None and length <= len(topic):
                some, size = patterns.of(topic)
                if some:
                    found.append(some)
                if size:
                    self._remember(size)
        return found

    def _remember(self, size: int) -> None:
        self._memo_bytes += size
        if self._memo_bytes > MEMO_BYTES:
            for patterns in self._patterns.values():
                patterns.change()
            self._memo_bytes = 0

    def _remove_pattern(self, prefix: str, item: T) -> None:
        patterns = self._patterns[prefix]
        patterns.items.discard(item)
        self._memo_bytes -= patterns.change()
        if not patterns.items:
            del self._patterns[prefix]
            self._lengths[len(prefix)] -= 1
            if not self._lengths[len(prefix)]:
                del self._lengths[len(prefix)]


class _Wait:
    """One caller. Two of one selection are two."""

    __slots__ = ("after", "come", "selector")

    def __init__(self, selector: Selector, after: Cursor) -> None:
        self.selector = selector
        self.after = after
        self.come = asyncio.Event()


class Arrivals:
    """Callers that wait for the next entry of their selection, without a stream: long polls."""

    def __init__(self) -> None:
        self._waits: set[_Wait] = set()
        self._index: TopicIndex[_Wait] = TopicIndex()

    async def wait(self, selector: Selector, after: Cursor) -> None:
        """Returns at an entry after a cursor that matches, or at `answer`."""
        wait = _Wait(selector, after)
        self._waits.add(wait)
        self._index.add(wait)
        try:
            await wait.come.wait()
        finally:
            self._waits.discard(wait)
            self._index.remove(wait)

    def push(self, entry: Entry) -> None:
        """Called with each entry, in order."""
        if not self._waits:
            return
        for wait in self._index.candidates(entry):
            if entry.cursor.sequence > wait.after.sequence and wait.selector.matches(entry):
                wait.come.set()

    def answer(self) -> None:
        """Called where entries are passed over, or no more will come: all look for themselves."""
        for wait in self._waits:
            wait.come.set()


def _size(topic: str, found: tuple[object, ...]) -> int:
    return sys.getsizeof(topic) + MEMO_OVERHEAD + 8 * len(found)
