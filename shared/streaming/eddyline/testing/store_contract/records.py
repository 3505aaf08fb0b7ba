"""Streams are created, written and read."""

import asyncio

import pytest

from eddyline.errors import NotFound
from eddyline.journal.cursor import SAFE_ID, Cursor
from eddyline.store.base import Batch, StaleWriter, StreamConfig, StreamStore
from eddyline.testing.store_contract.helpers import KEPT, Notes, made, state, whole

# Creating.


async def test_a_new_stream_is_empty_and_open(store: StreamStore) -> None:
    info = await made(store)
    assert info == await state(store)
    assert (info.config, info.end, info.head) == (KEPT, None, info.oldest)
    assert (info.head.sequence, (await store.read("k", None, 100)).records) == (0, [])


async def test_a_stream_that_is_there_is_found_and_left_as_it_is(store: StreamStore) -> None:
    info = await made(store, b"one")
    again = await store.create("k", StreamConfig("text/plain", 1.0), Batch([b"other"], "complete"))
    assert (again.new, again.info) == (False, info)
    assert await whole(store) == [b"one"]


async def test_of_all_that_create_a_key_at_once_one_is_told_that_it_is_new(
    store: StreamStore,
) -> None:
    writes = await asyncio.gather(*(store.create("k", KEPT) for _ in range(20)))
    assert sum(write.new for write in writes) == 1
    assert len({write.info.head for write in writes}) == 1


async def test_a_stream_can_be_created_with_all_that_it_will_ever_hold(store: StreamStore) -> None:
    written = await store.create("k", KEPT, Batch([b"a", b"b"], "complete"))
    assert (written.info.end, written.info.head.sequence) == ("complete", 2)
    assert await whole(store) == [b"a", b"b"]


async def test_streams_are_apart(store: StreamStore) -> None:
    for key in ("a", "a/b", "ä ", ""):
        await store.create(key, KEPT, Batch([key.encode()]))
    assert [await whole(store, key) for key in ("a", "a/b", "ä ", "")] == [
        [b"a"],
        [b"a/b"],
        ["ä ".encode()],
        [b""],
    ]


async def test_a_stream_that_nobody_made_is_not_found(store: StreamStore) -> None:
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


async def test_sequences_count_records_up_from_one(store: StreamStore) -> None:
    before = await made(store)
    batches: tuple[list[bytes], ...] = ([b"one"], [b"two", b"three"], [], [b"four"])
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


async def test_concurrent_batches_are_not_mixed(store: StreamStore) -> None:
    await made(store)
    batches = [[f"{n}.{m}".encode() for m in range(5)] for n in range(50)]
    await asyncio.gather(*(store.append("k", Batch(batch)) for batch in batches))
    read = await whole(store)
    assert len(read) == 250
    assert sorted(read[n : n + 5] for n in range(0, 250, 5)) == sorted(batches)


async def test_records_are_whatever_bytes_they_are(store: StreamStore) -> None:
    records = [b"", bytes(range(256)), b"\r\n\0\n", b"x" * 200_000]
    await made(store, *records)
    assert await whole(store) == records


@pytest.mark.parametrize("limit", [1, 7, 10, 1000])
async def test_pages_hold_whole_records_up_to_the_limit_and_join_to_the_whole(
    store: StreamStore, limit: int
) -> None:
    records = [b"x" * (n % 5) for n in range(40)]
    await made(store, *records)
    assert await whole(store, limit=limit) == records
    page = (await store.read("k", None, limit)).records
    assert sum(len(record.data) for record in page) <= limit


async def test_a_record_above_the_limit_comes_alone(store: StreamStore) -> None:
    await made(store, b"x" * 100, b"y")
    assert [r.data for r in (await store.read("k", None, 10)).records] == [b"x" * 100]


async def test_reading_goes_on_after_any_cursor(store: StreamStore) -> None:
    await made(store, *(str(n).encode() for n in range(10)))
    records = (await store.read("k", None, 1000)).records
    for n, record in enumerate(records):
        chunk = await store.read("k", record.cursor, 1000)
        assert (chunk.records, chunk.gap) == (records[n + 1 :], None)


async def test_a_cursor_ahead_of_the_head_is_told(store: StreamStore) -> None:
    info = await made(store, b"x")
    ahead = Cursor(info.head.epoch, 2)
    chunk = await store.read("k", ahead, 100)
    assert (chunk.records, chunk.gap, chunk.info) == ([], "future", info)


async def test_a_cursor_of_another_life_of_the_key_is_told(store: StreamStore) -> None:
    old = (await made(store, b"old")).head
    await store.delete("k")
    new = (await made(store, b"new")).head
    assert new.epoch != old.epoch
    chunk = await store.read("k", old, 100)
    assert (chunk.records, chunk.gap) == ([], "epoch")


async def test_a_writer_that_knows_another_head_is_refused(store: StreamStore) -> None:
    start = (await made(store)).head
    written = await store.append("k", Batch([b"one"], after=start))
    with pytest.raises(StaleWriter) as caught:
        await store.append("k", Batch([b"two", b"three"], "complete", after=start))
    assert caught.value.head == written.info.head
    assert await state(store) == written.info
    await store.append("k", Batch([b"two"], after=written.info.head))
    assert await whole(store) == [b"one", b"two"]


async def test_of_two_writers_that_know_the_same_head_one_is_refused(store: StreamStore) -> None:
    start = (await made(store)).head
    writes = (store.append("k", Batch([b"%d" % n], after=start)) for n in range(10))
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert sum(isinstance(result, StaleWriter) for result in results) == 9
    assert len(await whole(store)) == 1
