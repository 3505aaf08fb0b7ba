"""Threads by kind and by source: one that hangs holds only its own."""

import asyncio
import threading
from concurrent.futures import Future

import pytest

from eddyline.threads import Threads, source_of


def test_a_source_that_hangs_leaves_threads_to_others() -> None:
    """One locked database made another take 14.7 s: both shared six threads."""
    threads, unlocked = Threads("test", threads=4, per_source=3), threading.Event()
    stuck = [threads.submit("locked", unlocked.wait, 30) for _ in range(50)]
    assert threads.submit("other", lambda: 7).result(10) == 7
    assert sum(each.running() for each in stuck) == 3
    assert threads.is_contended("locked")
    assert not threads.is_contended("other")
    unlocked.set()
    assert all(each.result(10) for each in stuck)
    assert not threads.is_contended("locked")
    assert (threads._running, threads._waiting) == ({}, {})


def test_work_of_one_source_begins_in_its_order() -> None:
    threads = Threads("test", threads=4, per_source=1)
    order: list[int] = []
    for future in [threads.submit("one", order.append, n) for n in range(100)]:
        future.result(10)
    assert order == list(range(100))


async def test_an_error_is_its_callers_and_gives_the_thread_back() -> None:
    lane = Threads("test", threads=1, per_source=1).lane("one")
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await lane.run(lambda: 1 // 0)
    assert await lane.run(int) == 0


def test_work_that_is_cancelled_before_it_begins_never_does() -> None:
    threads, go = Threads("test", threads=1, per_source=1), threading.Event()
    first: Future[bool] = threads.submit("one", go.wait, 30)
    ran: list[int] = []
    second = threads.submit("one", ran.append, 2)
    third = threads.submit("one", ran.append, 3)
    assert second.cancel()
    go.set()
    third.result(10)
    assert first.result(10)
    assert ran == [3]


async def test_a_call_that_is_cancelled_lets_the_next_have_the_thread() -> None:
    lane, go = Threads("test", threads=1, per_source=1).lane("one"), threading.Event()
    task = asyncio.create_task(lane.run(go.wait, 30))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    go.set()
    assert await lane.run(int) == 0


def test_the_clients_of_one_generator_are_one_source() -> None:
    def numbers():  # type: ignore[no-untyped-def]
        yield 1

    assert source_of(numbers()) == source_of(numbers())
    assert source_of(iter([1])) == source_of(iter([2]))
    assert source_of(iter([1])) != source_of(numbers())
