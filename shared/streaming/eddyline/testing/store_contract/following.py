"""Streams are followed."""

from contextlib import AsyncExitStack

from eddyline.store.base import Batch, StreamStore
from eddyline.testing.store_contract.helpers import KEPT, Notes, made, state
from eddyline.testing.wait import eventually


async def test_a_follower_is_told_each_record_once_in_order_and_the_end(store: StreamStore) -> None:
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


async def test_a_follower_of_a_stream_that_ended_is_told_at_once(store: StreamStore) -> None:
    await store.create("k", KEPT, Batch([b"one"], "failed"))
    notes = Notes()
    async with store.follow("k", notes):
        await eventually(lambda: notes.ends)
    assert (notes.skipped, notes.ends) == ([(await state(store)).head], ["failed"])
    assert notes.records == []


async def test_a_follower_that_left_is_told_no_more(store: StreamStore) -> None:
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


async def test_reading_and_following_join_without_a_hole_wherever_a_follower_comes(
    store: StreamStore,
) -> None:
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
