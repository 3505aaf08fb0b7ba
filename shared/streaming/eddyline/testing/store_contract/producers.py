"""Writers that try again, and writers that compete: which write is done, and which is refused.

The rules are those of Durable Streams, sections 5.2 and 5.2.1 of its PROTOCOL.md.
"""

import asyncio

import pytest

from eddyline.errors import BadRequest
from eddyline.journal.cursor import Cursor
from eddyline.store.base import (
    Batch,
    ContentTypeMismatch,
    OutOfOrder,
    ProducerGap,
    ProducerStamp,
    StaleProducer,
    StaleWriter,
    StreamConfig,
    StreamEnded,
    StreamFull,
    StreamStore,
    Written,
)
from eddyline.testing.store_contract.helpers import made, state, whole


async def send(
    store: StreamStore, epoch: int, number: int, *records: bytes, id: str = "p", **fields: str
) -> Written:
    stamp = ProducerStamp(id, epoch, number)
    return await store.append("k", Batch(records, producer=stamp, **fields))  # type: ignore[arg-type]


async def test_a_write_that_is_sent_again_is_done_once(store: StreamStore) -> None:
    await made(store)
    first = await send(store, 0, 0, b"a")
    second = await send(store, 0, 1, b"b", b"c")
    again = await send(store, 0, 0, b"other")
    assert [first.new, second.new, again.new] == [True, True, False]
    assert [first.accepted, second.accepted, again.accepted] == [0, 1, 1]
    assert again.info == second.info == await state(store)
    assert await whole(store) == [b"a", b"b", b"c"]


async def test_a_write_that_is_sent_many_times_at_once_is_done_once(store: StreamStore) -> None:
    await made(store)
    writes = await asyncio.gather(*(send(store, 0, 0, b"a") for _ in range(20)))
    assert sum(written.new for written in writes) == 1
    assert await whole(store) == [b"a"]


async def test_a_missing_write_of_a_producer_is_asked_for(store: StreamStore) -> None:
    await made(store)
    with pytest.raises(ProducerGap) as caught:
        await send(store, 3, 2, b"a")
    assert caught.value.expected == 0
    await send(store, 3, 0, b"a")
    with pytest.raises(ProducerGap) as caught:
        await send(store, 3, 2, b"c")
    assert (caught.value.expected, caught.value.head) == (1, (await state(store)).head)
    assert await whole(store) == [b"a"]


async def test_a_producer_that_starts_anew_shuts_its_old_self_out(store: StreamStore) -> None:
    await made(store)
    await send(store, 0, 0, b"a")
    with pytest.raises(BadRequest, match="0, not 1"):
        await send(store, 2, 1, b"x")
    assert (await send(store, 2, 0, b"b")).accepted == 0
    with pytest.raises(StaleProducer) as caught:
        await send(store, 1, 0, b"x")
    assert caught.value.epoch == 2
    assert not (await send(store, 2, 0, b"x")).new
    assert await whole(store) == [b"a", b"b"]


async def test_producers_are_apart(store: StreamStore) -> None:
    await made(store)
    for number in range(3):
        for id in ("p", "q", "ä"):
            assert (await send(store, 0, number, id.encode(), id=id)).accepted == number
    assert len(await whole(store)) == 9


async def test_a_write_that_was_refused_leaves_nothing_of_its_producer(store: StreamStore) -> None:
    await made(store, config=StreamConfig(max_bytes=200))
    with pytest.raises(StreamFull):
        await send(store, 0, 0, b"x" * 200)
    head = (await state(store)).head
    other = Cursor(head.epoch, head.sequence + 1)
    with pytest.raises(StaleWriter):
        await store.append("k", Batch([b"x"], after=other, producer=ProducerStamp("p", 0, 0)))
    assert (await send(store, 0, 0, b"a")).new
    assert await whole(store) == [b"a"]


async def test_the_write_that_ended_a_stream_can_be_sent_again(store: StreamStore) -> None:
    await made(store)
    await send(store, 0, 0, b"a")
    ended = await send(store, 0, 1, b"b", end="closed")
    again = await send(store, 0, 1, b"other", end="closed")
    assert (again.new, again.accepted, again.info) == (False, 1, ended.info)
    for stamp in (("p", 0, 0), ("p", 0, 2), ("q", 0, 0)):
        with pytest.raises(StreamEnded):
            await store.append("k", Batch([b"x"], "closed", producer=ProducerStamp(*stamp)))
    assert await whole(store) == [b"a", b"b"]


async def test_a_producer_can_end_a_stream_without_a_record(store: StreamStore) -> None:
    await made(store, b"a")
    written = await send(store, 0, 0, end="closed")
    assert (written.new, written.accepted, written.info.end) == (True, 0, "closed")
    assert not (await send(store, 0, 0, end="closed")).new
    assert await whole(store) == [b"a"]


async def test_writes_in_order_are_compared_byte_by_byte(store: StreamStore) -> None:
    await made(store)
    for order in (b"09", b"1", b"10", b"2", b"A", b"a", b"\xff", b"\xff\x00"):
        await store.append("k", Batch([order], order=order))
    head = (await state(store)).head
    for order in (b"\xff\x00", b"\xff", b"b", b"10", b""):
        with pytest.raises(OutOfOrder) as caught:
            await store.append("k", Batch([b"x"], order=order))
        assert caught.value.head == head
    # A write without one is not compared.
    await store.append("k", Batch([b"free"]))
    assert len(await whole(store)) == 9


async def test_a_repeated_write_is_recognised_before_its_order_is_looked_at(
    store: StreamStore,
) -> None:
    await made(store)
    batch = Batch([b"a"], producer=ProducerStamp("p", 0, 0), order=b"5")
    assert [(await store.append("k", batch)).new for _ in range(2)] == [True, False]
    with pytest.raises(OutOfOrder):
        await store.append("k", Batch([b"b"], producer=ProducerStamp("p", 0, 1), order=b"4"))
    # A number is not used up by a write that was refused.
    assert (await send(store, 0, 1, b"b")).new


@pytest.mark.parametrize("same", ["text/plain", "TEXT/Plain; charset=utf-8", " text/plain ;x=y"])
async def test_only_the_media_type_of_a_writer_must_be_the_streams(
    store: StreamStore, same: str
) -> None:
    await made(store, config=StreamConfig("Text/plain;charset=ascii"))
    await store.append("k", Batch([b"a"], content_type=same))
    with pytest.raises(ContentTypeMismatch, match="application/json") as caught:
        await store.append("k", Batch([b"x"], content_type="application/json"))
    assert caught.value.head == (await state(store)).head
    assert (await state(store)).config.content_type == "Text/plain;charset=ascii"
    assert await whole(store) == [b"a"]


async def test_of_several_faults_the_end_is_told_first_then_the_type_then_the_producer(
    store: StreamStore,
) -> None:
    before = (await made(store)).head
    await send(store, 1, 0, b"a")
    await store.append("k", Batch([b"b"], order=b"5"))
    fields = {"producer": ProducerStamp("p", 0, 7), "order": b"1", "after": before}
    told: list[type[Exception]] = []
    for content_type in ("text/x", None):
        with pytest.raises((ContentTypeMismatch, StaleProducer)) as caught:
            await store.append("k", Batch([b"x"], content_type=content_type, **fields))  # type: ignore[arg-type]
        told.append(caught.type)
    del fields["producer"]
    with pytest.raises(OutOfOrder):
        await store.append("k", Batch([b"x"], **fields))  # type: ignore[arg-type]
    await store.append("k", Batch(end="closed"))
    with pytest.raises(StreamEnded):
        await store.append("k", Batch([b"x"], content_type="text/x", **fields))  # type: ignore[arg-type]
    assert told == [ContentTypeMismatch, StaleProducer]
