"""The memory store's own promises: its bounds, and a count of all that it holds."""

import gc
import random
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import pytest

from eddyline.errors import NotFound, Overloaded, StreamingError
from eddyline.journal.cursor import Cursor
from eddyline.store.base import (
    ENDING,
    Batch,
    Fork,
    ProducerStamp,
    Record,
    StreamConfig,
    StreamDeleted,
    StreamEnded,
)
from eddyline.store.memory import SWEEP, MemoryStore


@contextmanager
def traced() -> Iterator[Callable[[], int]]:
    """Gives the bytes that are held of those allocated within, by the store and by this test: other
    threads of the process do not count.
    """
    lines = [tracemalloc.Filter(True, part) for part in (__file__, "*/eddyline/*")]

    def held() -> int:
        gc.collect()
        kept = tracemalloc.take_snapshot().filter_traces(lines)
        return sum(trace.size for trace in kept.traces)

    gc.collect()
    tracemalloc.start()
    try:
        yield held
    finally:
        tracemalloc.stop()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Deaf:
    """A follower that does nothing with it."""

    def skip(self, head: Cursor) -> None: ...

    def deliver(self, records: Sequence[Record]) -> None: ...

    def ended(self, reason: str | None) -> None: ...


async def fill(store: MemoryStore, key: str, size: int, end: str | None = "complete") -> None:
    await store.create(key, StreamConfig(), Batch([b"x" * size], end))


async def fork(store: MemoryStore, source: str, key: str) -> None:
    at = (await store.read(source, None, 0)).info.head
    await store.create(key, StreamConfig(ttl=20.0), Batch([b"x" * 100]), Fork(source, at))


async def keys(store: MemoryStore, *names: str) -> list[str]:
    """Those of the names that are there; looking does not count as a use."""
    found = []
    for name in names:
        try:
            await store.read(name, None, 0)
            found.append(name)
        except NotFound:
            pass
    return found


async def test_all_streams_together_stay_below_the_bound():
    store = MemoryStore(max_bytes=1_000_000)
    for n in range(200):
        await fill(store, f"k{n}", 20_000)
        assert store.bytes <= 1_000_000
    assert 40 <= len(store) <= 50
    assert await keys(store, "k199", "k0") == ["k199"]


async def test_the_ended_stream_that_was_unused_for_longest_goes_first():
    store = MemoryStore(max_bytes=100_000)
    for key in ("a", "b", "c"):
        await fill(store, key, 25_000)
    await store.read("a", None, 1)
    await fill(store, "d", 25_000)
    assert await keys(store, "a", "b", "c", "d") == ["a", "c", "d"]


async def test_open_streams_are_never_dropped_for_others():
    store = MemoryStore(max_bytes=100_000)
    await fill(store, "open", 60_000, end=None)
    await fill(store, "ended", 30_000)
    with pytest.raises(Overloaded, match="full"):
        await fill(store, "new", 50_000)
    # No stream went for the sake of a write that was refused.
    assert await keys(store, "open", "ended", "new") == ["open", "ended"]
    with pytest.raises(Overloaded):
        await store.append("open", Batch([b"x" * 50_000]))
    await store.append("open", Batch([b"x" * 10_000]))
    assert await keys(store, "open", "ended") == ["open"]
    assert store.bytes <= 100_000


async def test_each_open_stream_can_be_ended_with_a_reason_in_a_store_that_is_full():
    store = MemoryStore(max_bytes=50_000)
    opened = 0
    with suppress(Overloaded):
        for opened in range(1000):
            await store.create(str(opened), StreamConfig())
    assert 10 < opened < 40
    with suppress(Overloaded):
        while True:
            await store.append("0", Batch([b""]))
    for n in range(opened):
        await store.append(str(n), Batch([b"x" * (ENDING - 100)], "failed"))
        assert store.bytes <= 50_000
    assert len(await keys(store, *map(str, range(opened)))) == opened


async def test_a_stream_that_trims_goes_on_in_a_store_that_is_full():
    store = MemoryStore(max_bytes=20_000)
    await store.create("k", StreamConfig(max_bytes=5_000, trim=True))
    for _ in range(10):
        await store.append("k", Batch([b"x" * 900]))
    await fill(store, "other", 0, end=None)
    with suppress(Overloaded):
        while True:
            await store.append("other", Batch([b""]))
    for _ in range(10):
        await store.append("k", Batch([b"y" * 900]))
    assert store.bytes <= 20_000
    [record] = (await store.read("k", None, 1)).records
    assert record.data == b"y" * 900


@pytest.mark.parametrize(
    ("records", "size", "key"), [(0, 0, "k"), (0, 0, "k" * 2000), (10, 5, "ä"), (100, 3, "k")]
)
async def test_it_counts_at_least_all_that_it_holds(records, size, key):
    store = MemoryStore(max_bytes=1 << 30)
    with traced() as held:
        for n in range(50):
            config = StreamConfig("text/plain; n=" + str(n), float(n + 100), 1 << 20)
            await store.create(f"{key}{n}", config)
            for m in range(records):
                await store.append(f"{key}{n}", Batch([(b"%d" % (m % 10)) * size]))
            await store.append(f"{key}{n}", Batch(end="complete"))
        assert 0 < held() <= store.bytes < 3 * held()


async def test_memory_of_streams_that_expired_is_given_back_though_nobody_asks_for_them():
    clock = Clock()
    store = MemoryStore(clock=clock)
    for n in range(1000):
        await store.create(str(n), StreamConfig(ttl=60), Batch([b"x" * 100]))
    clock.now += 59
    await store.create("other", StreamConfig())
    assert len(store) == 1001
    clock.now += 1 + SWEEP
    await store.read("other", None, 0)
    assert len(store) == 1
    await store.delete("other")
    assert store.bytes == 0


async def test_a_stream_that_expired_is_not_found_though_its_memory_is_still_held():
    clock = Clock()
    store = MemoryStore(clock=clock)
    await store.create("k", StreamConfig(ttl=1))
    clock.now += 1
    assert await keys(store, "k") == []


async def test_a_stream_lives_on_from_the_moment_at_which_its_last_follower_left():
    clock = Clock()
    store = MemoryStore(clock=clock)
    await store.create("k", StreamConfig(ttl=60))
    async with store.follow("k", Deaf()):
        clock.now += 1000
    clock.now += 59
    assert await keys(store, "k") == ["k"]
    clock.now += 1
    assert await keys(store, "k") == []


async def test_it_counts_producers_and_forks_as_well():
    store = MemoryStore(max_bytes=1 << 30)
    await store.create("0", StreamConfig(), Batch([b"x"]))
    counted = store.bytes
    with traced() as held:
        for n in range(1, 40):
            at = (await store.read(str(n - 1), None, 0)).info.head
            await store.create(str(n), StreamConfig(), Batch([b"x"]), Fork(str(n - 1), at))
            for m in range(20):
                stamp = ProducerStamp(f"producer {m}", m, 0)
                await store.append(str(n), Batch([b"y"], producer=stamp, order=b"%09d" % m))
        assert 0 < held() <= store.bytes - counted < 3 * held()


async def test_a_stream_that_forks_hold_is_not_dropped_for_others():
    store = MemoryStore(max_bytes=100_000)
    await fill(store, "source", 30_000)
    at = (await store.read("source", None, 0)).info.head
    await fill(store, "ended", 30_000)
    # The source itself is not dropped to make room for its fork.
    await store.create("fork", StreamConfig(), Batch([b"x" * 50_000]), Fork("source", at))
    assert await keys(store, "source", "ended", "fork") == ["source", "fork"]
    with pytest.raises(Overloaded):
        await fill(store, "more", 30_000)
    await store.append("fork", Batch(end="complete"))
    # A fork that ended may go, and then its source.
    await fill(store, "more", 30_000)
    assert await keys(store, "source", "fork", "more") == ["source", "more"]
    await fill(store, "most", 60_000)
    assert await keys(store, "source", "more", "most") == ["more", "most"]


@pytest.mark.parametrize("seed", range(5))
async def test_counts_are_right_after_any_sequence_of_writes(seed):
    chosen, clock = random.Random(seed), Clock()
    store = MemoryStore(max_bytes=60_000, clock=clock)
    written = 0
    for _ in range(3000):
        clock.now += chosen.random()
        key = str(chosen.randrange(30))
        batch = Batch(
            [b"x" * chosen.randrange(800) for _ in range(chosen.randrange(4))],
            chosen.choice([None, None, None, "complete"]),
            producer=chosen.choice([None, ProducerStamp(chosen.choice("pq"), 0, 0)]),
        )
        bound = chosen.choice([None, 500, 3000])
        config = StreamConfig("t", chosen.choice([None, 5.0, 50.0]), bound, chosen.random() < 0.5)
        calls = (
            lambda: store.create(key, config, batch),  # noqa: B023
            lambda: store.append(key, batch),  # noqa: B023
            lambda: store.read(key, None, 1000),  # noqa: B023
            lambda: store.delete(key),  # noqa: B023
            lambda: fork(store, str(chosen.randrange(30)), key),  # noqa: B023
        )
        try:
            await chosen.choices(calls, (4, 8, 2, 1, 4))[0]()
            written += 1
        except (StreamingError, StreamEnded):
            pass
        assert 0 <= store.bytes <= 60_000
    assert written > 500
    for n in range(30):
        with suppress(NotFound, StreamDeleted):
            await store.delete(str(n))
    assert (len(store), store.bytes) == (0, 0)
