"""Streams end, fill, and go."""

import asyncio
import time
from contextlib import suppress

import pytest

from eddyline.errors import NotFound
from eddyline.store.base import (
    ENDING,
    RECORD_OVERHEAD,
    Batch,
    StreamConfig,
    StreamEnded,
    StreamFull,
    StreamStore,
)
from eddyline.testing.store_contract.helpers import KEPT, Notes, gone, is_gone, made, state, whole
from eddyline.testing.wait import PATIENCE, eventually

# The end.


async def test_the_last_records_and_the_end_are_one_write(store: StreamStore) -> None:
    await made(store, b"one")
    written = await store.append("k", Batch([b"two"], "failed"))
    assert written.info.end == "failed"
    chunk = await store.read("k", None, 100)
    assert [record.data for record in chunk.records] == [b"one", b"two"]
    assert chunk.info == written.info


@pytest.mark.parametrize("batch", [Batch([b"x"]), Batch(), Batch([], "failed")])
async def test_nothing_follows_the_end(store: StreamStore, batch: Batch) -> None:
    await made(store, b"one")
    written = await store.append("k", Batch(end="complete"))
    with pytest.raises(StreamEnded, match="complete") as caught:
        await store.append("k", batch)
    assert caught.value.head == written.info.head
    assert await state(store) == written.info


async def test_a_stream_that_ended_is_still_read_and_found(store: StreamStore) -> None:
    await made(store, b"one")
    await store.append("k", Batch([b"two"], "complete"))
    assert await whole(store) == [b"one", b"two"]
    assert not (await store.create("k", KEPT)).new


# Bounds.


def holds(*sizes: int) -> int:
    """Bytes that records of these sizes count for."""
    return sum(sizes) + RECORD_OVERHEAD * len(sizes)


async def test_a_full_stream_refuses_all_of_a_batch(store: StreamStore) -> None:
    await made(store, config=StreamConfig(max_bytes=holds(10, 10, 10)))
    await store.append("k", Batch([b"x" * 10]))
    with pytest.raises(StreamFull, match=str(holds(10, 10, 10))):
        await store.append("k", Batch([b"y" * 10] * 3))
    await store.append("k", Batch([b"z" * 10] * 2))
    assert await whole(store) == [b"x" * 10, b"z" * 10, b"z" * 10]


async def test_a_stream_cannot_be_created_fuller_than_it_may_be(store: StreamStore) -> None:
    with pytest.raises(StreamFull):
        await store.create("k", StreamConfig(max_bytes=100), Batch([b"x" * 100]))
    assert await is_gone(store)


async def test_a_full_stream_can_still_say_why_it_ends(store: StreamStore) -> None:
    await made(store, b"x" * 10, config=StreamConfig(max_bytes=holds(10)))
    reason = "failed"
    most = ENDING - RECORD_OVERHEAD - len(reason)
    with pytest.raises(StreamFull):
        await store.append("k", Batch([b"y" * (most + 1)], reason))
    written = await store.append("k", Batch([b"y" * most], reason))
    assert written.info.end == reason
    assert await whole(store) == [b"x" * 10, b"y" * most]


async def test_a_stream_that_trims_keeps_its_newest_records_and_tells_readers(
    store: StreamStore,
) -> None:
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


async def test_a_batch_above_the_bound_is_refused_even_where_streams_trim(
    store: StreamStore,
) -> None:
    await made(store, b"x", config=StreamConfig(max_bytes=1000, trim=True))
    with pytest.raises(StreamFull):
        await store.append("k", Batch([b"y" * 1000]))
    assert await whole(store) == [b"x"]


# Going.


async def test_a_deleted_stream_is_gone_and_its_followers_are_told(store: StreamStore) -> None:
    await made(store, b"one")
    notes = Notes()
    async with store.follow("k", notes):
        await store.delete("k")
        await eventually(lambda: notes.ends)
    assert notes.ends == [None]
    assert await is_gone(store)
    with pytest.raises(NotFound):
        await store.append("k", Batch([b"two"]))


async def test_a_key_can_be_used_again_after_its_stream_is_deleted(store: StreamStore) -> None:
    await made(store, b"old")
    async with store.follow("k", Notes()):
        await store.delete("k")
        await made(store, b"new")
        await store.append("k", Batch(end="complete"))
    # The follower of the old stream has left: the new one is still there.
    assert await whole(store) == [b"new"]


async def test_a_stream_that_nobody_uses_expires(store: StreamStore) -> None:
    await made(store, b"one", config=StreamConfig(ttl=0.05))
    await gone(store)
    assert (await store.create("k", KEPT)).new


async def test_a_stream_that_ended_expires_as_well(store: StreamStore) -> None:
    await made(store, config=StreamConfig(ttl=0.05))
    await store.append("k", Batch([b"one"], "complete"))
    await gone(store)


async def test_a_stream_that_is_followed_does_not_expire(store: StreamStore) -> None:
    await store.create("other", StreamConfig(ttl=1.0))
    await made(store, config=StreamConfig(ttl=0.2))
    async with store.follow("k", Notes()):
        await gone(store, "other")  # five times as long
        assert (await state(store)).end is None
    await gone(store)


@pytest.mark.parametrize("use", ["read", "append"])
async def test_a_stream_that_is_used_does_not_expire(store: StreamStore, use: str) -> None:
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
            await asyncio.sleep(0.005)  # sleep: the pace of its use


async def test_a_stream_expires_at_its_time_however_it_is_used(store: StreamStore) -> None:
    await made(store, b"one", config=StreamConfig(ttl=60, expires_at=time.time() + 0.2))

    async def used_and_gone() -> bool:
        with suppress(NotFound):
            await store.append("k", Batch([b"x"]))
            await store.read("k", None, 100)
        return await is_gone(store)

    await eventually(used_and_gone)
    await made(store, b"new")
    assert await whole(store) == [b"new"]


async def test_the_state_alone_is_no_use_of_a_stream(store: StreamStore) -> None:
    await made(store, config=StreamConfig(ttl=0.1))
    await gone(store)  # which asks for the state
