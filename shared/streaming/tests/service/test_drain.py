import asyncio
import time

import pytest

from eddyline.errors import Unavailable
from eddyline.service.drain import Drain
from eddyline.telemetry import metrics
from eddyline.testing import eventually


async def test_an_empty_process_is_drained_at_once() -> None:
    drain = Drain(window=60)
    await asyncio.wait_for(drain.run(), 20)
    assert drain.draining


async def test_nobody_is_admitted_from_the_first_moment() -> None:
    drain = Drain(notice=60)
    drain.admit()
    running = asyncio.create_task(drain.run())
    await eventually(lambda: drain.draining)
    with pytest.raises(Unavailable, match="stopping"):
        drain.admit()
    running.cancel()


async def test_streams_are_left_alone_until_the_balancer_has_noticed() -> None:
    drain, began = Drain(notice=0.1, window=0.1), time.monotonic()
    asked: list[float] = []
    drain.opened()

    def ender(window: float) -> None:
        asked.append(time.monotonic() - began)
        drain.closed()

    drain.on_begin(1, ender)
    await drain.run()
    assert len(asked) == 1
    assert asked[0] >= 0.1


async def test_it_ends_as_soon_as_the_last_stream_does() -> None:
    drain = Drain(window=60)
    cut: list[str] = []
    drain.opened()
    drain.opened()
    windows: list[float] = []
    drain.on_begin("hub", windows.append)
    drain.on_deadline("hub", lambda: cut.append("cut"))
    running = asyncio.create_task(drain.run())
    await eventually(lambda: windows == [60])
    drain.closed()
    assert (drain.open, running.done()) == (1, False)
    drain.closed()
    await asyncio.wait_for(running, 20)
    assert cut == []


async def test_what_outlives_the_window_is_cut_after_it() -> None:
    drain, began = Drain(window=0.05), time.monotonic()
    told: list[str] = []
    drain.opened()

    def cut() -> None:
        told.append("cut")
        drain.closed()

    drain.on_begin(1, lambda window: told.append("end"))
    drain.on_deadline(1, cut)
    await asyncio.wait_for(drain.run(), 20)
    assert told == ["end", "cut"]
    assert time.monotonic() - began >= 0.05


async def test_a_stream_that_never_ends_does_not_hold_the_process() -> None:
    drain = Drain(window=0.0)
    drain.opened()
    await asyncio.wait_for(drain.run(), 20)
    assert drain.open == 1


async def test_who_is_forgotten_is_not_told() -> None:
    drain = Drain(window=0.0)
    told: list[object] = []
    drain.opened()
    drain.on_begin("a", told.append)
    drain.on_deadline("a", lambda: told.append("cut"))
    drain.forget("a")
    drain.forget("never there")
    await asyncio.wait_for(drain.run(), 20)
    assert told == []


async def test_an_ender_may_forget_itself_and_others() -> None:
    drain = Drain(window=0.0)
    told: list[str] = []
    for owner in ("a", "b"):

        def ender(window: float, owner: str = owner) -> None:
            told.append(owner)
            drain.forget("a")
            drain.forget("b")

        drain.on_begin(owner, ender)
    await asyncio.wait_for(drain.run(), 20)
    assert told == ["a", "b"]


async def test_how_long_it_takes_shows_at_each_end() -> None:
    metrics.drain_seconds.set(-1)
    drain = Drain(0.0, 5.0, metrics.drain_seconds.set)
    drain.opened()
    drain.opened()
    running = asyncio.create_task(drain.run())
    await asyncio.sleep(0.05)  # sleep: the time that is measured
    drain.closed()
    (sample,) = next(iter(metrics.drain_seconds.collect())).samples
    assert 0.04 <= sample.value < 60
    drain.closed()
    await running


async def test_how_long_it_took_is_measured() -> None:
    metrics.drain_seconds.set(-1)
    await Drain(0.05, 0.0, metrics.drain_seconds.set).run()
    (sample,) = next(iter(metrics.drain_seconds.collect())).samples
    assert 0.05 <= sample.value < 60
