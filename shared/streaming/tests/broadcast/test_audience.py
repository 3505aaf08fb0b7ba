"""Fan-out: entries are joined, framed once, and fair to a reader that fills up meanwhile."""

import asyncio
import time
from typing import Any

import pytest

from eddyline.broadcast.audience import FLUSH_BYTES, Audience
from eddyline.broadcast.broadcast import Topics
from eddyline.broadcast.coalescing import FlushGovernor
from eddyline.broadcast.formats import SSE
from eddyline.connection.base import BARE, CHUNKED, Framing
from eddyline.journal.base import Entry, NewEntry
from eddyline.journal.cursor import Cursor
from eddyline.telemetry.metrics import StreamMetrics


class Sink:
    """A subscriber and its connection in one."""

    def __init__(self, framing: Framing = BARE) -> None:
        self.connection = self
        self.framing = framing
        self.written: list[bytes] = []
        self.when_written: Any = lambda: None
        self.counted = [0, 0]

    def count(self, events: int, size: int) -> None:
        self.counted = [self.counted[0] + events, self.counted[1] + size]

    def write_framed(self, data: bytes) -> None:
        self.written.append(data)
        self.when_written()


def audience(interval: float = 60.0, governor: FlushGovernor | None = None) -> Audience:
    metrics = StreamMetrics("audience", "broadcast")
    return Audience(Topics(frozenset("t")), SSE, metrics, governor or FlushGovernor(interval))


def entry(text: str) -> Entry:
    return Entry.from_new(NewEntry("t", text), Cursor("e", 1), time.time())


async def test_bytes_are_framed_once_for_all_who_want_chunks():
    one, two, bare = Sink(CHUNKED), Sink(CHUNKED), Sink()
    group = audience()
    for sink in (one, two, bare):
        group.join(sink)
    group.push(entry("x"))
    assert one.written[0] is two.written[0]
    assert one.written == [b"%x\r\n%b\r\n" % (len(bare.written[0]), bare.written[0])]


async def test_a_quiet_audience_is_written_to_at_once_and_a_busy_one_together():
    sink, group = Sink(), audience()
    group.join(sink)
    for n in range(10):
        group.push(entry(str(n)))
    assert len(sink.written) == 1
    assert group.pending
    group.flush()
    assert len(sink.written) == 2
    assert sink.written[1].count(b"data: ") == 9


async def test_a_flush_comes_by_itself_after_the_interval():
    sink, group = Sink(), audience(0.01)
    written = asyncio.Event()
    group.join(sink)
    group.push(entry("a"))
    sink.when_written = written.set
    group.push(entry("b"))
    await asyncio.wait_for(written.wait(), 20)
    assert sink.written[1].count(b"data: b") == 1


async def test_a_flush_is_written_before_it_grows_large():
    sink, group = Sink(), audience()
    group.join(sink)
    group.push(entry("first"))
    for _ in range(40):
        group.push(entry("x" * 1000))
    assert max(map(len, sink.written)) < FLUSH_BYTES + 1100


async def test_who_fills_up_during_a_flush_leaves_after_it():
    full, others, group = Sink(), [Sink() for _ in range(5)], audience()
    for sink in [full, *others]:
        group.join(sink)
    full.when_written = lambda: group.leave(full)
    group.push(entry("one"))
    group.push(entry("two"))
    group.flush()
    assert len(full.written) == 1
    assert all(len(sink.written) == 2 for sink in others)


async def test_nothing_is_kept_for_an_audience_without_readers():
    group = audience()
    group.push(entry("x"))
    assert not group.pending


@pytest.mark.parametrize(("every", "lingers"), [(0.018, False), (0.012, True)])
async def test_an_audience_lingers_only_where_it_is_busy(monkeypatch, every, lingers):
    """A write to all of it takes 10 ms; events come each 18 ms, or each 12."""
    clock = [1000.0]
    monkeypatch.setattr("eddyline.broadcast.audience.time.monotonic", lambda: clock[0])
    sink, group = Sink(), audience(0.005)
    group.join(sink)

    def take_time() -> None:
        clock[0] += 0.01

    sink.when_written = take_time
    for n in range(100):
        due = 1000.0 + n * every
        clock[0] = max(clock[0], due)
        group.push(entry(str(n)))
    assert (len(sink.written) < 100) == lingers


@pytest.mark.parametrize(("every", "lingers"), [(0.06, False), (0.025, True)])
async def test_many_small_audiences_linger_where_they_keep_the_process_busy(
    monkeypatch, every, lingers
):
    """A write takes 1 ms to each of 20 audiences; events are for all, each 60 ms or each 25."""
    clock = [1000.0]
    for module in ("audience", "coalescing"):
        monkeypatch.setattr(f"eddyline.broadcast.{module}.time.monotonic", lambda: clock[0])
    governor, sink = FlushGovernor(0.005), Sink()
    groups = [audience(governor=governor) for _ in range(20)]

    def take_time() -> None:
        clock[0] += 0.001

    sink.when_written = take_time
    for group in groups:
        group.join(sink)
    for n in range(100):
        clock[0] = max(clock[0], 1000.0 + n * every)
        for group in groups:
            group.push(entry(str(n)))
    assert (len(sink.written) < 100 * 20) == lingers
    assert all(group.pending for group in groups) == lingers


async def test_a_reader_counts_from_when_it_joins_to_when_it_leaves():
    early, late, group = Sink(), Sink(), audience()
    group.join(early)
    group.push(entry("a"))
    group.join(late)
    # It leaves within a flush, as one does whose connection is full: that flush is its own, too.
    early.when_written = lambda: group.leave(early)
    group.push(entry("b"))
    group.push(entry("c"))
    group.flush()
    group.push(entry("d"))
    group.flush()
    group.leave(late)
    for sink, events in ((early, 3), (late, 3)):
        assert sink.counted == [events, sum(map(len, sink.written))]
