"""Which audiences an entry may be for: a look-up by topic, however many topics and patterns."""

from collections.abc import Collection, Hashable
from typing import Generic, Protocol, TypeVar

from eddyline.broadcast.audience import Selector
from eddyline.journal.base import Entry

#: Topics whose patterns are remembered. Tuples are shared with nobody: ~150 bytes each.
MEMO_TOPICS = 50_000


class Selecting(Hashable, Protocol):
    """Anything that has a selector of entries."""

    @property
    def selector(self) -> Selector: ...


T = TypeVar("T", bound=Selecting)


class TopicIndex(Generic[T]):
    """Exact topics are a look-up; patterns are asked once a topic, and remembered."""

    def __init__(self) -> None:
        self._exact: dict[str, set[T]] = {}
        self._patterns: set[T] = set()
        self._memo: dict[str, tuple[T, ...]] = {}

    @property
    def topics(self) -> int:
        """Exact topics that somebody asked for."""
        return len(self._exact)

    def add(self, item: T) -> None:
        topics = item.selector.topics
        if topics is None:
            self._patterns.add(item)
            self._memo.clear()
        for topic in topics or ():
            self._exact.setdefault(topic, set()).add(item)

    def remove(self, item: T) -> None:
        topics = item.selector.topics
        if topics is None:
            self._patterns.discard(item)
            self._memo.clear()
        for topic in topics or ():
            self._exact[topic].discard(item)
            if not self._exact[topic]:
                del self._exact[topic]

    def candidates(self, entry: Entry) -> Collection[T]:
        """Each audience once whose selector may match; `matches` has the last word."""
        if entry.alternates:
            sets = [self._of(topic) for topic in entry.topics]
            return set[T]().union(*sets)
        return self._of(entry.topic)

    def _of(self, topic: str) -> Collection[T]:
        exact = self._exact.get(topic, ())
        if not self._patterns:
            return exact
        patterns = self._memo.get(topic)
        if patterns is None:
            if len(self._memo) >= MEMO_TOPICS:
                self._memo.clear()
            patterns = tuple(a for a in self._patterns if a.selector.may_match(topic))
            self._memo[topic] = patterns
        return (*exact, *patterns) if patterns else exact
