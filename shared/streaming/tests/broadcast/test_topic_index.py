"""The index of topics: which selectors are asked, and how seldom."""

import tracemalloc
from dataclasses import dataclass, field

import pytest

from eddyline.broadcast import topic_index
from eddyline.broadcast.audience import Audience
from eddyline.broadcast.broadcast import Topics
from eddyline.broadcast.coalescing import FlushGovernor
from eddyline.broadcast.formats import SSE
from eddyline.broadcast.topic_index import TopicIndex
from eddyline.journal.base import Entry, NewEntry
from eddyline.journal.cursor import Cursor
from eddyline.telemetry.metrics import StreamMetrics

METRICS = StreamMetrics("index", "broadcast")


@dataclass(frozen=True)
class Prefix:
    prefix: str
    asked: list[str] = field(default_factory=list, compare=False)
    topics: None = None

    def matches(self, entry: Entry) -> bool:
        return any(self.may_match(topic) for topic in entry.topics)

    def may_match(self, topic: str) -> bool:
        self.asked.append(topic)
        return topic.startswith(self.prefix)


def audience(selector: Topics | Prefix) -> Audience:
    return Audience(selector, SSE, METRICS, FlushGovernor(0.0))


def entry(topic: str, *alternates: str) -> Entry:
    return Entry.from_new(NewEntry(topic, "x", alternates=alternates), Cursor("e", 1), 0.0)


def test_exact_topics_and_patterns_are_found() -> None:
    index = TopicIndex()
    one, two, pattern = audience(Topics(frozenset("ab"))), audience(Topics(frozenset("b"))), None
    index.add(one)
    index.add(two)
    assert set(index.candidates(entry("a"))) == {one}
    assert set(index.candidates(entry("b"))) == {one, two}
    assert not index.candidates(entry("c"))
    pattern = audience(Prefix("b"))
    index.add(pattern)
    assert set(index.candidates(entry("b"))) == {one, two, pattern}
    assert set(index.candidates(entry("bc"))) == {pattern}
    # Each once, whichever of the topics it is for.
    assert sorted(map(id, index.candidates(entry("a", "b", "bc")))) == sorted(
        map(id, {one, two, pattern})
    )
    for gone in (one, two, pattern):
        index.remove(gone)
    assert not index.candidates(entry("a", "b", "bc"))
    assert index.topics == 0


def test_a_pattern_is_asked_once_a_topic_until_patterns_change() -> None:
    index, selector = TopicIndex(), Prefix("a")
    index.add(audience(selector))
    for _ in range(3):
        index.candidates(entry("a1"))
        index.candidates(entry("b1"))
    assert selector.asked == ["a1", "b1"]
    later = audience(Prefix("b"))
    index.add(later)
    assert list(index.candidates(entry("b1"))) == [later]
    index.remove(later)
    assert not index.candidates(entry("b1"))


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_index, "MEMO_TOPICS", 10)
    index = TopicIndex()
    index.add(audience(Prefix("a")))
    for number in range(1000):
        assert index.candidates(entry(f"a{number}"))
        assert len(index._memo) <= 10


def test_a_hundred_thousand_exact_topics_cost_a_look_up_each() -> None:
    """2,000 audiences of 50 topics: only one is asked for an entry, and a topic takes ~0.3 kB."""
    selectors = [Topics(frozenset(f"t/{n}/{i}" for i in range(50))) for n in range(2000)]
    audiences = [audience(selector) for selector in selectors]
    index = TopicIndex()
    tracemalloc.start()
    try:
        for each in audiences:
            index.add(each)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert index.topics == 100_000
    assert used / index.topics < 400
    for n in range(0, 2000, 97):
        assert list(index.candidates(entry(f"t/{n}/49"))) == [audiences[n]]
    for each in audiences:
        index.remove(each)
    assert index.topics == 0
