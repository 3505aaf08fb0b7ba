"""The timer wheel: each item once, to the second, and no timer without need."""

import time

from eddyline.broadcast.timer_wheel import TimerWheel
from eddyline.testing import eventually


class Item:
    def __init__(self) -> None:
        self.due = 0
        self.called: list[float] = []

    def on_time(self, now: float) -> None:
        self.called.append(now)


async def test_an_item_is_called_once_and_not_too_early():
    wheel, item = TimerWheel(), Item()
    at = time.monotonic() + 0.5
    wheel.add(item, at)
    await eventually(lambda: item.called)
    assert at <= item.called[0] <= at + 1.5
    assert wheel._timer is None
    assert not wheel._seconds


async def test_a_new_moment_replaces_the_old_one():
    wheel, moved, plain = TimerWheel(), Item(), Item()
    now = time.monotonic()
    wheel.add(moved, now)
    wheel.add(moved, now + 2)
    wheel.add(plain, now + 1)
    await eventually(lambda: plain.called)
    assert moved.called == []
    await eventually(lambda: moved.called)
    assert len(moved.called) == 1


async def test_an_item_may_add_itself_again():
    wheel, item = TimerWheel(), Item()

    class Again(Item):
        def on_time(self, now: float) -> None:
            super().on_time(now)
            if len(self.called) < 2:
                wheel.add(self, now)

    item = Again()
    wheel.add(item, time.monotonic())
    await eventually(lambda: len(item.called) == 2)
    assert item.called[1] - item.called[0] < 1.5
    assert wheel._timer is None


async def test_closing_stops_the_timer():
    wheel, item = TimerWheel(), Item()
    wheel.add(item, time.monotonic())
    timer = wheel._timer
    wheel.close()
    assert timer is not None
    assert timer.cancelled()
