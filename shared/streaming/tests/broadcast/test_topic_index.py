"""The index of topics: which selectors are asked, and how seldom."""

import tracemalloc
from dataclasses import dataclass, field

from eddyline.broadcast.audience import Audience
from eddyline.broadcast.broadcast import Topics
from eddyline.broadcast.coalescing import FlushGovernor
from eddyline.broadcast.formats import SSE
from eddyline.broadcast.topic_index import FEW, MEMO_BYTES, TopicIndex
from eddyline.journal.base import Entry, NewEntry
from eddyline.journal.cursor import Cursor
from eddyline.telemetry.metrics import StreamMetrics

METRICS = StreamMetrics("index", "broadcast")


@dataclass(frozen=True)
class Prefix:
    prefix: str
    asked: list[str] = field(default_factory=list, compare=False)
    named: str = ""
    topics: frozenset[str] = frozenset()

    @property
    def prefixes(self) -> frozenset[str]:
        return frozenset([self.named])

    def matches(self, entry: Entry) -> bool:
        return any(self.may_match(topic) for topic in entry.topics)

    def may_match(self, topic: str) -> bool:
        self.asked.append(topic)
        return topic.startswith(self.prefix)

    def shown(self, entry: Entry) -> Entry:
        return entry


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


def test_many_patterns_are_asked_once_a_topic_until_they_change() -> None:
    index, selector = TopicIndex(), Prefix("a")
    index.add(audience(selector))
    for number in range(FEW):
        index.add(audience(Prefix(f"other {number}")))
    for _ in range(3):
        index.candidates(entry("a1"))
        index.candidates(entry("b1"))
    assert selector.asked == ["a1", "b1"]
    later = audience(Prefix("b"))
    index.add(later)
    assert list(index.candidates(entry("b1"))) == [later]
    index.remove(later)
    assert not index.candidates(entry("b1"))


def test_a_pattern_is_asked_about_topics_that_begin_as_it_does() -> None:
    """2,000 users with a template each must not ask 2,000 times for one event."""
    index = TopicIndex()
    mine = [Prefix(f"user/{n}/", named=f"user/{n}/") for n in range(2000)]
    audiences = [audience(selector) for selector in mine]
    for each in audiences:
        index.add(each)
    assert set(index.candidates(entry("user/7/inbox"))) == {audiences[7]}
    assert not index.candidates(entry("user/7"))
    assert not any(selector.asked for selector in mine), "so few that `matches` alone is asked"
    for each in audiences:
        index.remove(each)
    assert not index.candidates(entry("user/7/inbox"))


def test_answers_of_others_are_remembered_where_a_pattern_comes_and_goes() -> None:
    index, asked = TopicIndex(), Prefix("a", named="a")
    index.add(audience(asked))
    for number in range(FEW):
        index.add(audience(Prefix(f"a{number}", named="a")))
    for _ in range(100):
        index.candidates(entry("a1"))
        coming = audience(Prefix("b", named="b"))
        index.add(coming)
        index.remove(coming)
    assert asked.asked == ["a1"]


def test_what_is_remembered_is_bounded_in_bytes() -> None:
    index = TopicIndex()
    selectors = [Prefix("a" * number) for number in range(FEW + 1)]
    for selector in selectors:
        index.add(audience(selector))
    tracemalloc.start()
    try:
        for number in range(20_000):
            for selector in selectors:
                selector.asked.clear()
            assert index.candidates(entry(f"aaaaa{number}" + "\U0001f600" * 1000))
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < 1.2 * MEMO_BYTES


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
