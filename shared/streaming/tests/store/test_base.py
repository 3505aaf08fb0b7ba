"""The contract that any store of streams must keep."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

import pytest

from eddyline.errors import NotFound
from eddyline.journal.cursor import SAFE_ID, Cursor
from eddyline.store.base import (
    ENDING,
    RECORD_OVERHEAD,
    Batch,
    Record,
    StaleWriter,
    StreamConfig,
    StreamEnded,
    StreamFull,
    StreamInfo,
    StreamStore,
)
from eddyline.store.memory import MemoryStore
from eddyline.testing import PATIENCE, eventually

STORES: dict[str, Callable[[], StreamStore]] = {"memory": MemoryStore}

KEPT = StreamConfig("application/json")


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> StreamStore:
    return STORES[request.param]()


class Notes:
    """A follower that notes all that it is told."""

    def __init__(self) -> None:
        self.skipped: list[Cursor] = []
        self.records: list[Record] = []
        self.ends: list[str | None] = []

    def skip(self, head: Cursor) -> None:
        self.skipped.append(head)

    def deliver(self, records: Sequence[Record]) -> None:
        assert records
        assert not self.ends
        self.records += records

    def ended(self, reason: str | None) -> None:
        self.ends.append(reason)


async def made(store: StreamStore, *records: bytes, config: StreamConfig = KEPT) -> StreamInfo:
    """A new stream under the key `k`."""
    written = await store.create("k", config, Batch(records))
    assert written.new
    return written.info


async def state(store: StreamStore, key: str = "k") -> StreamInfo:
    return (await store.read(key, None, 0)).info


async def whole(store: StreamStore, key: str = "k", limit: int = 1_000_000) -> list[bytes]:
    """All that is retained, read page by page."""
    cursor: Cursor | None = None
    read: list[bytes] = []
    while (chunk := await store.read(key, cursor, limit)).records:
        read += (record.data for record in chunk.records)
        cursor = chunk.records[-1].cursor
    return read


async def is_gone(store: StreamStore, key: str = "k") -> bool:
    try:
        await state(store, key)
    except NotFound:
        return True
    return False


async def gone(store: StreamStore, key: str = "k") -> None:
    async with asyncio.timeout(PATIENCE):
        while not await is_gone(store, key):
            await asyncio.sleep(0.005)


# Creating.


async def test_a_new_stream_is_empty_and_open(store):
    info = await made(store)
    assert info == await state(store)
    assert (info.config, info.end, info.head) == (KEPT, None, info.oldest)
    assert (info.head.sequence, (await store.read("k", None, 100)).records) == (0, [])


async def test_a_stream_that_is_there_is_found_and_left_as_it_is(store):
    info = await made(store, b"one")
    again = await store.create("k", StreamConfig("text/plain", 1.0), Batch([b"other"], "complete"))
    assert (again.new, again.info) == (False, info)
    assert await whole(store) == [b"one"]


async def test_of_all_that_create_a_key_at_once_one_is_told_that_it_is_new(store):
    writes = await asyncio.gather(*(store.create("k", KEPT) for _ in range(20)))
    assert sum(write.new for write in writes) == 1
    assert len({write.info.head for write in writes}) == 1


async def test_a_stream_can_be_created_with_all_that_it_will_ever_hold(store):
    written = await store.create("k", KEPT, Batch([b"a", b"b"], "complete"))
    assert (written.info.end, written.info.head.sequence) == ("complete", 2)
    assert await whole(store) == [b"a", b"b"]


async def test_streams_are_apart(store):
    for key in ("a", "a/b", "ä ", ""):
        await store.create(key, KEPT, Batch([key.encode()]))
    assert [await whole(store, key) for key in ("a", "a/b", "ä ", "")] == [
        [b"a"],
        [b"a/b"],
        ["ä ".encode()],
        [b""],
    ]


async def test_a_stream_that_nobody_made_is_not_found(store):
    calls = (
        lambda: store.append("k", Batch([b"x"])),
        lambda: store.read("k", None, 1),
        lambda: store.delete("k"),
    )
    for call in calls:
        with pytest.raises(NotFound, match="'k'"):
            await call()
    with pytest.raises(NotFound, match="'k'"):
        async with store.follow("k", Notes()):
            pass


# Writing and reading.


async def test_sequences_count_records_up_from_one(store):
    before = await made(store)
    batches = ([b"one"], [b"two", b"three"], [], [b"four"])
    heads = [(await store.append("k", Batch(batch))).info.head for batch in batches]
    assert [head.sequence for head in heads] == [1, 3, 3, 4]
    assert {head.epoch for head in heads} == {before.head.epoch}
    records = (await store.read("k", None, 1000)).records
    assert [(record.cursor.sequence, record.data) for record in records] == [
        (1, b"one"),
        (2, b"two"),
        (3, b"three"),
        (4, b"four"),
    ]
    assert all(SAFE_ID.match(str(record.cursor)) for record in records)


async def test_concurrent_batches_are_not_mixed(store):
    await made(store)
    batches = [[f"{n}.{m}".encode() for m in range(5)] for n in range(50)]
    await asyncio.gather(*(store.append("k", Batch(batch)) for batch in batches))
    read = await whole(store)
    assert len(read) == 250
    assert sorted(read[n : n + 5] for n in range(0, 250, 5)) == sorted(batches)


async def test_records_are_whatever_bytes_they_are(store):
    records = [b"", bytes(range(256)), b"\r\n\0\n", b"x" * 200_000]
    await made(store, *records)
    assert await whole(store) == records


@pytest.mark.parametrize("limit", [1, 7, 10, 1000])
async def test_pages_hold_whole_records_up_to_the_limit_and_join_to_the_whole(store, limit):
    records = [b"x" * (n % 5) for n in range(40)]
    await made(store, *records)
    assert await whole(store, limit=limit) == records
    page = (await store.read("k", None, limit)).records
    assert sum(len(record.data) for record in page) <= limit


async def test_a_record_above_the_limit_comes_alone(store):
    await made(store, b"x" * 100, b"y")
    assert [r.data for r in (await store.read("k", None, 10)).records] == [b"x" * 100]


async def test_reading_goes_on_after_any_cursor(store):
    await made(store, *(str(n).encode() for n in range(10)))
    records = (await store.read("k", None, 1000)).records
    for n, record in enumerate(records):
        chunk = await store.read("k", record.cursor, 1000)
        assert (chunk.records, chunk.gap) == (records[n + 1 :], None)


async def test_a_cursor_ahead_of_the_head_is_told(store):
    info = await made(store, b"x")
    ahead = Cursor(info.head.epoch, 2)
    chunk = await store.read("k", ahead, 100)
    assert (chunk.records, chunk.gap, chunk.info) == ([], "future", info)


async def test_a_cursor_of_another_life_of_the_key_is_told(store):
    old = (await made(store, b"old")).head
    await store.delete("k")
    new = (await made(store, b"new")).head
    assert new.epoch != old.epoch
    chunk = await store.read("k", old, 100)
    assert (chunk.records, chunk.gap) == ([], "epoch")


async def test_a_writer_that_knows_another_head_is_refused(store):
    start = (await made(store)).head
    written = await store.append("k", Batch([b"one"], after=start))
    with pytest.raises(StaleWriter) as caught:
        await store.append("k", Batch([b"two", b"three"], "complete", after=start))
    assert caught.value.head == written.info.head
    assert await state(store) == written.info
    await store.append("k", Batch([b"two"], after=written.info.head))
    assert await whole(store) == [b"one", b"two"]


async def test_of_two_writers_that_know_the_same_head_one_is_refused(store):
    start = (await made(store)).head
    writes = (store.append("k", Batch([b"%d" % n], after=start)) for n in range(10))
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert sum(isinstance(result, StaleWriter) for result in results) == 9
    assert len(await whole(store)) == 1


# The end.


async def test_the_last_records_and_the_end_are_one_write(store):
    await made(store, b"one")
    written = await store.append("k", Batch([b"two"], "failed"))
    assert written.info.end == "failed"
    chunk = await store.read("k", None, 100)
    assert [record.data for record in chunk.records] == [b"one", b"two"]
    assert chunk.info == written.info


@pytest.mark.parametrize("batch", [Batch([b"x"]), Batch(), Batch([], "failed")])
async def test_nothing_follows_the_end(store, batch):
    await made(store, b"one")
    written = await store.append("k", Batch(end="complete"))
    with pytest.raises(StreamEnded, match="complete") as caught:
        await store.append("k", batch)
    assert caught.value.head == written.info.head
    assert await state(store) == written.info


async def test_a_stream_that_ended_is_still_read_and_found(store):
    await made(store, b"one")
    await store.append("k", Batch([b"two"], "complete"))
    assert await whole(store) == [b"one", b"two"]
    assert not (await store.create("k", KEPT)).new


# Bounds.


def holds(*sizes: int) -> int:
    """Bytes that records of these sizes count for."""
    return sum(sizes) + RECORD_OVERHEAD * len(sizes)


async def test_a_full_stream_refuses_all_of_a_batch(store):
    await made(store, config=StreamConfig(max_bytes=holds(10, 10, 10)))
    await store.append("k", Batch([b"x" * 10]))
    with pytest.raises(StreamFull, match=str(holds(10, 10, 10))):
        await store.append("k", Batch([b"y" * 10] * 3))
    await store.append("k", Batch([b"z" * 10] * 2))
    assert await whole(store) == [b"x" * 10, b"z" * 10, b"z" * 10]


async def test_a_stream_cannot_be_created_fuller_than_it_may_be(store):
    with pytest.raises(StreamFull):
        await store.create("k", StreamConfig(max_bytes=100), Batch([b"x" * 100]))
    assert await is_gone(store)


async def test_a_full_stream_can_still_say_why_it_ends(store):
    await made(store, b"x" * 10, config=StreamConfig(max_bytes=holds(10)))
    reason = "failed"
    most = ENDING - RECORD_OVERHEAD - len(reason)
    with pytest.raises(StreamFull):
        await store.append("k", Batch([b"y" * (most + 1)], reason))
    written = await store.append("k", Batch([b"y" * most], reason))
    assert written.info.end == reason
    assert await whole(store) == [b"x" * 10, b"y" * most]


async def test_a_stream_that_trims_keeps_its_newest_records_and_tells_readers(store):
    most = holds(*[100] * 10)
    start = await made(store, config=StreamConfig(max_bytes=most, trim=True))
    datas = [b"%100d" % n for n in range(50)]
    for data in datas:
        await store.append("k", Batch([data]))
    info = await state(store)
    kept = await whole(store)
    assert 5 <= len(kept) <= 10
    assert kept == datas[-len(kept) :]
    assert info.head.sequence == 50
    assert info.oldest.sequence == 50 - len(kept)
    missed = await store.read("k", start.head, 1000)
    assert (missed.records, missed.gap, missed.info.oldest) == ([], "trimmed", info.oldest)
    # The cursor right before the oldest record has missed nothing.
    chunk = await store.read("k", info.oldest, 10_000)
    assert (chunk.gap, [record.data for record in chunk.records]) == (None, kept)


async def test_a_batch_above_the_bound_is_refused_even_where_streams_trim(store):
    await made(store, b"x", config=StreamConfig(max_bytes=1000, trim=True))
    with pytest.raises(StreamFull):
        await store.append("k", Batch([b"y" * 1000]))
    assert await whole(store) == [b"x"]


# Following.


async def test_a_follower_is_told_each_record_once_in_order_and_the_end(store):
    info = await made(store, b"before")
    notes = Notes()
    async with store.follow("k", notes):
        await store.append("k", Batch([b"one"]))
        await store.append("k", Batch([b"two", b"three"]))
        await store.append("k", Batch([b"four"], "complete"))
        await eventually(lambda: notes.ends)
    assert notes.skipped[0] == info.head
    assert [record.data for record in notes.records] == [b"one", b"two", b"three", b"four"]
    assert [record.cursor.sequence for record in notes.records] == [2, 3, 4, 5]
    assert notes.ends == ["complete"]


async def test_a_follower_of_a_stream_that_ended_is_told_at_once(store):
    await store.create("k", KEPT, Batch([b"one"], "failed"))
    notes = Notes()
    async with store.follow("k", notes):
        await eventually(lambda: notes.ends)
    assert (notes.skipped, notes.ends) == ([(await state(store)).head], ["failed"])
    assert notes.records == []


async def test_a_follower_that_left_is_told_no_more(store):
    await made(store)
    early, late = Notes(), Notes()
    async with store.follow("k", late):
        async with store.follow("k", early):
            await store.append("k", Batch([b"one"]))
            await eventually(lambda: early.records)
        await store.append("k", Batch([b"two"], "complete"))
        await eventually(lambda: late.ends)
    assert [record.data for record in early.records] == [b"one"]
    assert [record.data for record in late.records] == [b"one", b"two"]


async def test_reading_and_following_join_without_a_hole_wherever_a_follower_comes(store):
    await made(store)
    everything = [str(n).encode() for n in range(30)]
    followers = [Notes() for _ in everything]
    async with AsyncExitStack() as stack:
        for data, notes in zip(everything, followers, strict=True):
            await stack.enter_async_context(store.follow("k", notes))
            await store.append("k", Batch([data]))
        await store.append("k", Batch(end="complete"))
        await eventually(lambda: all(notes.ends for notes in followers))
    for notes in followers:
        [skipped] = notes.skipped
        before = (await store.read("k", None, 10_000)).records[: skipped.sequence]
        assert [record.data for record in before + notes.records] == everything


# Going.


async def test_a_deleted_stream_is_gone_and_its_followers_are_told(store):
    await made(store, b"one")
    notes = Notes()
    async with store.follow("k", notes):
        await store.delete("k")
        await eventually(lambda: notes.ends)
    assert notes.ends == [None]
    assert await is_gone(store)
    with pytest.raises(NotFound):
        await store.append("k", Batch([b"two"]))


async def test_a_key_can_be_used_again_after_its_stream_is_deleted(store):
    await made(store, b"old")
    async with store.follow("k", Notes()):
        await store.delete("k")
        await made(store, b"new")
        await store.append("k", Batch(end="complete"))
    # The follower of the old stream has left: the new one is still there.
    assert await whole(store) == [b"new"]


async def test_a_stream_that_nobody_uses_expires(store):
    await made(store, b"one", config=StreamConfig(ttl=0.05))
    await gone(store)
    assert (await store.create("k", KEPT)).new


async def test_a_stream_that_ended_expires_as_well(store):
    await made(store, config=StreamConfig(ttl=0.05))
    await store.append("k", Batch([b"one"], "complete"))
    await gone(store)


async def test_a_stream_that_is_followed_does_not_expire(store):
    await made(store, config=StreamConfig(ttl=0.02))
    await store.create("other", StreamConfig(ttl=0.1))
    async with store.follow("k", Notes()):
        await gone(store, "other")  # five times as long
        assert (await state(store)).end is None
    await gone(store)


@pytest.mark.parametrize("use", ["read", "append"])
async def test_a_stream_that_is_used_does_not_expire(store, use):
    ttl = 0.2
    began = used = time.monotonic() - ttl
    async with asyncio.timeout(PATIENCE):
        while time.monotonic() - began < 3 * ttl:
            try:
                await (store.read("k", None, 1) if use == "read" else store.append("k", Batch()))
            except NotFound:
                # Only a machine that was too busy to use it in time may lose it.
                began = time.monotonic()
                assert began - used >= ttl
                await made(store, b"x", config=StreamConfig(ttl=ttl))
            used = time.monotonic()
            await asyncio.sleep(0.005)
