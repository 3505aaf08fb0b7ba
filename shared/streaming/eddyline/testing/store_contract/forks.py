"""Streams begin with the records of others.

The rules are those of Durable Streams, section 4.2 of its PROTOCOL.md.
"""

import asyncio
import time
from typing import Any

import pytest

from eddyline.errors import BadCursor, Conflict, NotFound, StreamingError
from eddyline.journal.cursor import Cursor
from eddyline.store.base import (
    Batch,
    Fork,
    ProducerStamp,
    StreamConfig,
    StreamDeleted,
    StreamEnded,
    StreamStore,
)
from eddyline.testing.store_contract.helpers import (
    KEPT,
    Notes,
    cursors,
    forked,
    gone,
    is_gone,
    made,
    state,
    whole,
)
from eddyline.testing.wait import eventually


async def test_a_fork_begins_with_the_records_of_its_source_and_goes_its_own_way(
    store: StreamStore,
) -> None:
    source = await made(store, b"1", b"2")
    info = await forked(store, "fork", "k")
    assert (info.head, info.oldest, info.end) == (source.head, source.oldest, None)
    assert info.fork == Fork("k", source.head)
    assert info.life != source.life
    await store.append("k", Batch([b"3"]))
    await store.append("fork", Batch([b"three", b"four"]))
    assert await whole(store) == [b"1", b"2", b"3"]
    assert await whole(store, "fork") == [b"1", b"2", b"three", b"four"]
    assert await whole(store, "fork", limit=1) == [b"1", b"2", b"three", b"four"]


async def test_no_cursor_names_a_record_of_the_source_and_another_of_the_fork(
    store: StreamStore,
) -> None:
    await made(store, b"1", b"2")
    await forked(store, "fork", "k", b"three")
    await store.append("k", Batch([b"3"]))
    ours, theirs = await cursors(store, "k"), await cursors(store, "fork")
    assert ours[:2] == theirs[:2]
    assert ours[2] != theirs[2]
    assert [cursor.sequence for cursor in theirs] == [1, 2, 3]
    assert (await store.read("fork", ours[2], 100)).gap in ("future", "epoch")
    assert (await store.read("k", theirs[2], 100)).gap == "epoch"
    for n, cursor in enumerate(theirs):
        chunk = await store.read("fork", cursor, 100)
        assert (chunk.gap, [r.cursor for r in chunk.records]) == (None, theirs[n + 1 :])


@pytest.mark.parametrize("at", range(5))
async def test_a_stream_is_forked_at_any_position(store: StreamStore, at: int) -> None:
    info = await made(store, b"0", b"1", b"2", b"3")
    positions = [info.oldest, *(await cursors(store, "k"))]
    await forked(store, "fork", "k", b"own", at=positions[at])
    assert await whole(store, "fork") == [*[b"0", b"1", b"2", b"3"][:at], b"own"]
    assert (await store.read("fork", info.oldest, 100)).gap is None


async def test_forks_are_forked(store: StreamStore) -> None:
    await made(store, b"a", b"b")
    await forked(store, "one", "k", b"c")
    middle = (await state(store, "one")).head
    await store.append("one", Batch([b"d"]))
    await forked(store, "two", "one", b"e", at=middle)
    # At a position that the source has itself inherited.
    early = (await cursors(store, "two"))[0]
    await forked(store, "three", "two", b"f", at=early)
    assert await whole(store, "two") == [b"a", b"b", b"c", b"e"]
    assert await whole(store, "three") == [b"a", b"f"]
    assert await whole(store, "two", limit=1) == [b"a", b"b", b"c", b"e"]


async def test_a_fork_of_a_stream_that_ended_is_open(store: StreamStore) -> None:
    await made(store, b"a")
    await store.append("k", Batch(end="closed"))
    await forked(store, "fork", "k")
    await store.append("fork", Batch([b"b"], "closed"))
    with pytest.raises(StreamEnded):
        await store.append("fork", Batch([b"c"]))
    assert await whole(store, "fork") == [b"a", b"b"]


async def test_a_fork_is_created_once_and_found_then(store: StreamStore) -> None:
    await made(store, b"a")
    fork = Fork("k", (await state(store)).head, part=3)
    first = await store.create("fork", KEPT, Batch([b"x"]), fork)
    again = await store.create("fork", KEPT, Batch([b"y"]), Fork("other", fork.at))
    assert (first.new, again.new) == (True, False)
    assert again.info == first.info == await state(store, "fork")
    assert again.info.fork == fork
    assert (await state(store)).fork is None


async def test_nothing_of_the_writers_is_inherited(store: StreamStore) -> None:
    await made(store)
    first = Batch([b"a"], producer=ProducerStamp("p", 5, 0), order=b"9")
    await store.append("k", first)
    await forked(store, "fork", "k")
    again = Batch([b"b"], producer=ProducerStamp("p", 0, 0), order=b"1")
    assert (await store.append("fork", again)).new
    assert not (await store.append("k", first)).new


async def test_a_stream_cannot_be_forked_where_it_has_no_such_position(store: StreamStore) -> None:
    info = await made(store, b"a")
    other = Cursor(info.head.epoch, 2)
    for at in (other, Cursor("other", 1)):
        with pytest.raises(BadCursor):
            await store.create("fork", KEPT, fork=Fork("k", at))
    with pytest.raises(NotFound, match="nobody"):
        await store.create("fork", KEPT, fork=Fork("nobody", info.head))
    trims = StreamConfig(max_bytes=1000, trim=True)
    at = (await store.create("trims", trims)).info.head
    for config, fork in ((KEPT, Fork("trims", at)), (trims, Fork("k", info.head))):
        with pytest.raises(Conflict, match="not forked"):
            await store.create("fork", config, fork=fork)
    assert await is_gone(store, "fork")
    # None of these has left the source with a fork.
    await store.delete("k")
    assert await is_gone(store)


async def refusal(call: Any) -> type[StreamingError] | None:
    try:
        await call
    except StreamingError as error:
        return type(error)
    return None


async def test_a_deleted_source_is_kept_for_its_forks_alone(store: StreamStore) -> None:
    info = await made(store, b"a", b"b")
    await forked(store, "fork", "k", b"c")
    notes = Notes()
    async with store.follow("k", notes):
        await store.delete("k")
        await eventually(lambda: notes.ends)
    assert notes.ends == [None]
    calls = (
        store.read("k", None, 0),
        store.read("k", None, 100),
        store.append("k", Batch([b"x"])),
        store.delete("k"),
        store.follow("k", Notes()).__aenter__(),
    )
    assert [await refusal(call) for call in calls] == [StreamDeleted] * 5
    for fork in (None, Fork("k", info.head)):
        key = "k" if fork is None else "other"
        with pytest.raises(Conflict):
            await store.create(key, KEPT, fork=fork)
    assert await whole(store, "fork") == [b"a", b"b", b"c"]
    await store.append("fork", Batch([b"d"]))
    await store.delete("fork")
    await gone(store)
    await made(store, b"new")


async def test_sources_go_in_turn_when_the_last_fork_is_gone(store: StreamStore) -> None:
    await made(store, b"a")
    await forked(store, "one", "k", b"b")
    await forked(store, "two", "one", b"c")
    await forked(store, "twin", "one", b"d")
    for key in ("k", "one", "two"):
        await store.delete(key)
    assert await refusal(store.read("k", None, 0)) is StreamDeleted
    assert await whole(store, "twin") == [b"a", b"b", b"d"]
    await store.delete("twin")
    for key in ("two", "one", "k"):
        await gone(store, key)


async def test_a_source_that_was_not_deleted_stays_when_its_forks_are_gone(
    store: StreamStore,
) -> None:
    await made(store, b"a")
    await forked(store, "fork", "k")
    await store.delete("fork")
    assert await whole(store) == [b"a"]
    await store.delete("k")
    assert await is_gone(store)


async def test_a_source_that_expires_is_kept_for_its_forks(store: StreamStore) -> None:
    await made(store, b"a", config=StreamConfig(ttl=0.5))
    await forked(store, "fork", "k")

    async def deleted() -> bool:
        return await refusal(store.read("k", None, 0)) is StreamDeleted

    await eventually(deleted)
    assert await whole(store, "fork") == [b"a"]
    await store.delete("fork")
    await gone(store)


async def test_a_fork_that_expires_lets_its_source_go(store: StreamStore) -> None:
    info = await made(store, b"a")
    config = StreamConfig(expires_at=time.time() + 0.1)
    await store.create("fork", config, fork=Fork("k", info.head))
    await store.delete("k")
    await gone(store, "fork")
    await gone(store)


async def test_a_follower_of_a_fork_hears_nothing_of_the_source(store: StreamStore) -> None:
    await made(store, b"a")
    info = await forked(store, "fork", "k")
    notes = Notes()
    async with store.follow("fork", notes):
        await store.append("k", Batch([b"b"], "closed"))
        await store.delete("k")
        await store.append("fork", Batch([b"c"], "closed"))
        await eventually(lambda: notes.ends)
    assert notes.skipped[0] == info.head
    assert [record.data for record in notes.records] == [b"c"]
    assert notes.ends == ["closed"]


async def test_a_key_that_is_free_is_no_source_not_even_its_own(store: StreamStore) -> None:
    """Nor are two forks of each other, that are made at the same time: none waits for the other."""

    async def fork(key: str, source: str) -> None:
        with pytest.raises(NotFound):
            await store.create(key, KEPT, fork=Fork(source, Cursor("none", 0)))

    async with asyncio.timeout(20):
        await fork("k", "k")
        await asyncio.gather(*(fork(*pair) for pair in [("a", "b"), ("b", "a")] * 5))
    assert (await store.create("k", KEPT)).new
    assert (await store.create("a", KEPT)).new
