"""Small chunks of a blocking iterator, joined while the caller is busy."""

import threading
from collections.abc import Iterator
from functools import partial

import pytest

from eddyline.responses.gathering import GatheringIterator
from eddyline.testing import eventually
from eddyline.threads import PULLS

LANE = PULLS.lane(__name__)


def reached(made: list[int], count: int) -> bool:
    return len(made) == count


async def test_everything_comes_in_order_and_then_the_end() -> None:
    chunks = GatheringIterator(iter(["a", b"b", "\u00e9"]), 1, LANE)
    assert [chunk async for chunk in chunks] == [b"a", b"b", "\u00e9".encode()]
    await chunks.aclose()


async def test_a_source_without_chunks_ends_at_once() -> None:
    assert [chunk async for chunk in GatheringIterator(iter([]), 1, LANE)] == []


async def test_small_chunks_that_wait_for_the_caller_come_as_one() -> None:
    chunks = GatheringIterator((f"{n}\n" for n in range(1000)), 1_000_000, LANE)
    first = await anext(chunks)
    got = [first] + [chunk async for chunk in chunks]
    assert b"".join(got) == b"".join(b"%d\n" % n for n in range(1000))
    assert len(got) < 100
    await chunks.aclose()


async def test_so_many_bytes_are_made_ahead_and_no_more() -> None:
    made: list[int] = []

    def numbers() -> Iterator[bytes]:
        for number in range(1000):
            made.append(number)
            yield b"x" * 100

    chunks = GatheringIterator(numbers(), 5000, LANE)
    taken = 0
    for _ in range(3):
        taken += len(await anext(chunks))
        await eventually(partial(reached, made, taken // 100 + 50))
        await LANE.run(int)
        assert len(made) == taken // 100 + 50
    await chunks.aclose()


async def test_a_chunk_does_not_wait_for_the_one_after_it() -> None:
    go_on = threading.Event()

    def two() -> Iterator[bytes]:
        yield b"1"
        assert go_on.wait(10)
        yield b"2"

    chunks = GatheringIterator(two(), 5000, LANE)
    assert await anext(chunks) == b"1"
    go_on.set()
    assert [chunk async for chunk in chunks] == [b"2"]
    await chunks.aclose()


async def test_an_error_comes_after_the_small_chunks_before_it() -> None:
    def failing() -> Iterator[str]:
        yield from ("a", "b")
        raise OSError("the disk is gone")

    chunks = GatheringIterator(failing(), 5000, LANE)
    got = b""
    while got != b"ab":
        got += await anext(chunks)
    with pytest.raises(OSError, match="the disk is gone"):
        await anext(chunks)
    await chunks.aclose()


async def test_a_step_that_goes_on_ends_when_it_is_closed() -> None:
    made: list[int] = []

    def endless() -> Iterator[bytes]:
        while True:
            made.append(0)
            yield b""

    chunks = GatheringIterator(endless(), 1, LANE)
    assert await anext(chunks) == b""
    await chunks.aclose()
    after = len(made)
    await LANE.run(int)
    assert len(made) == after
