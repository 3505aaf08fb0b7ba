"""Notice of a stop: chained to the server's own handlers of signals, and taken back at the end."""

import asyncio
import inspect
import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType, SimpleNamespace
from typing import Any

import hypercorn.asyncio.run
import hypercorn.run
import pytest

from eddyline.server.stopping import on_stop
from eddyline.testing import eventually

Handler = Callable[[int, FrameType | None], Any]


@pytest.fixture
def handled() -> Iterator[list[int]]:
    """The signals that the server's own handler got."""
    got: list[int] = []
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in former:
        signal.signal(number, lambda number, _: got.append(number))
    yield got
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_is_noticed_and_handled_by_the_server_too(handled, number):
    notices: list[int] = []
    async with on_stop(lambda: notices.append(number)):
        signal.raise_signal(number)
        assert handled == [number]
        await eventually(lambda: notices == [number])


async def test_handlers_of_the_event_loop_are_called_too(handled):
    loop, notices = asyncio.get_running_loop(), []
    loop.add_signal_handler(signal.SIGTERM, lambda: notices.append("server"))
    try:
        async with on_stop(lambda: notices.append("app")):
            signal.raise_signal(signal.SIGTERM)
            await eventually(lambda: sorted(notices) == ["app", "server"])
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


async def test_the_servers_handlers_are_back_at_the_end(handled):
    before = signal.getsignal(signal.SIGTERM)
    async with on_stop(lambda: None):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


async def test_a_handler_that_was_set_later_stays(handled):
    def later(number: int, frame: FrameType | None) -> None: ...

    async with on_stop(lambda: None):
        signal.signal(signal.SIGTERM, later)
    assert signal.getsignal(signal.SIGTERM) is later


async def test_two_of_them_are_both_told_in_any_order_of_their_ends(handled):
    notices: list[str] = []
    first, second = on_stop(lambda: notices.append("a")), on_stop(lambda: notices.append("b"))
    await first.__aenter__()
    await second.__aenter__()
    signal.raise_signal(signal.SIGTERM)
    await eventually(lambda: sorted(notices) == ["a", "b"])
    await first.__aexit__(None, None, None)
    signal.raise_signal(signal.SIGTERM)
    assert handled == [signal.SIGTERM] * 2
    await second.__aexit__(None, None, None)


@pytest.mark.parametrize("effect", [signal.SIG_DFL, signal.SIG_IGN])
async def test_a_signal_that_no_server_handles_keeps_its_effect(handled, effect):
    signal.signal(signal.SIGTERM, effect)
    async with on_stop(lambda: None):
        assert signal.getsignal(signal.SIGTERM) is effect


def test_another_thread_than_the_main_one_sets_nothing(handled):
    before = signal.getsignal(signal.SIGTERM)
    found: list[object] = []

    async def look() -> None:
        async with on_stop(lambda: None):
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=lambda: asyncio.run(look()))
    thread.start()
    thread.join()
    assert found == [before]


async def test_a_worker_of_hypercorn_looks_at_its_masters_event(monkeypatch, handled):
    event, notices = threading.Event(), []
    worker = SimpleNamespace(_kwargs={"shutdown_event": event})
    monkeypatch.setattr(multiprocessing, "current_process", lambda: worker)
    async with on_stop(lambda: notices.append("stop")):
        assert notices == []
        event.set()
        await eventually(lambda: notices == ["stop"])


def test_hypercorn_still_hands_the_event_to_its_worker():
    worker = inspect.signature(hypercorn.asyncio.run.asyncio_worker)
    assert "shutdown_event" in worker.parameters
    assert '"shutdown_event": shutdown_event' in inspect.getsource(hypercorn.run)
    process = multiprocessing.get_context("spawn").Process(kwargs={"shutdown_event": 1})
    assert process._kwargs == {"shutdown_event": 1}
