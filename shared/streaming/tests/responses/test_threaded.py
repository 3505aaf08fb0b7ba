import asyncio
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from eddyline.responses.threaded import ThreadedIterator
from eddyline.testing import eventually
from eddyline.threads import PER_SOURCE, PULLS

LANE = PULLS.lane(__name__)


async def test_yields_everything_in_order_then_stops() -> None:
    chunks = ThreadedIterator(iter([b"a", b"b", b"c"]), LANE)
    assert [chunk async for chunk in chunks] == [b"a", b"b", b"c"]


def reached(made: list[int], count: int) -> bool:
    return len(made) == count


async def test_is_never_more_than_one_chunk_ahead() -> None:
    made: list[int] = []

    def numbers() -> Iterator[bytes]:
        for number in range(100):
            made.append(number)
            yield b"%d" % number

    chunks = ThreadedIterator(numbers(), LANE)
    assert made == []
    for taken in range(1, 11):
        await anext(chunks)
        await eventually(partial(reached, made, taken + 1))
        # A round trip through the pool: all earlier work is done.
        await LANE.run(int)
        assert len(made) == taken + 1
    await chunks.aclose()


async def test_none_is_a_value_as_any_other() -> None:
    assert [value async for value in ThreadedIterator(iter([1, None, 2]), LANE)] == [1, None, 2]


async def test_an_error_comes_after_the_chunks_before_it() -> None:
    def failing() -> Iterator[bytes]:
        yield b"whole"
        raise OSError("the disk is gone")

    chunks = ThreadedIterator(failing(), LANE)
    assert await anext(chunks) == b"whole"
    with pytest.raises(OSError, match="the disk is gone"):
        await anext(chunks)
    await chunks.aclose()


async def test_closing_waits_for_the_running_step_and_interrupts_it() -> None:
    running, interrupted, closed = threading.Event(), threading.Event(), threading.Event()

    def stuck() -> Iterator[bytes]:
        try:
            running.set()
            assert interrupted.wait(10)
            yield b""
        finally:
            closed.set()

    chunks = ThreadedIterator(stuck(), LANE, interrupted.set)
    waiting = asyncio.create_task(anext(chunks))
    await eventually(running.is_set)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled()
    assert not closed.is_set()
    await chunks.aclose()
    assert interrupted.is_set()
    assert closed.is_set()


async def test_a_second_cancellation_does_not_leave_the_source_open() -> None:
    running, go_on, closed = threading.Event(), threading.Event(), threading.Event()

    def stuck() -> Iterator[bytes]:
        try:
            running.set()
            assert go_on.wait(10)
            yield b""
        finally:
            closed.set()

    chunks = ThreadedIterator(stuck(), LANE)
    waiting = asyncio.create_task(anext(chunks))
    await eventually(running.is_set)
    waiting.cancel()
    await asyncio.wait({waiting})
    closing = asyncio.create_task(chunks.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait({closing})
    go_on.set()
    await eventually(closed.is_set)


async def test_waiting_readers_hold_no_thread() -> None:
    """Many more iterators than threads, each with a step made and a reader that does not come."""
    readers = [ThreadedIterator(iter([b"1", b"2", b"3"]), LANE) for _ in range(20 * PER_SOURCE)]
    for reader in readers:
        assert await anext(reader) == b"1"
    for reader in reversed(readers):
        assert await anext(reader) == b"2"
    for reader in readers:
        await reader.aclose()
