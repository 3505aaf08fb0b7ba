"""The time of an upstream, on the event loop's clock."""

import asyncio
import time

from eddyline.testing import eventually
from eddyline_chat.upstreams.patience import Patience


async def test_it_is_used_up_once() -> None:
    given_up: list[float] = []
    loop = asyncio.get_running_loop()
    began = loop.time()
    Patience(0.05, lambda: given_up.append(loop.time() - began))
    await eventually(lambda: given_up)
    assert given_up[0] >= 0.05


async def test_a_new_beginning_may_be_shorter_or_longer() -> None:
    given_up: list[str] = []
    shorter = Patience(60, lambda: given_up.append("shorter"))
    shorter.begin(0.01)
    longer = Patience(0.01, lambda: given_up.append("longer"))
    longer.begin(60)
    await eventually(lambda: given_up)
    assert given_up == ["shorter"]
    longer.stop()


async def test_a_pause_does_not_count() -> None:
    given_up: list[str] = []
    patience = Patience(0.01, lambda: given_up.append("paused"))
    patience.pause()
    Patience(0.05, lambda: given_up.append("other"))
    await eventually(lambda: given_up)
    patience.resume()
    await eventually(lambda: len(given_up) == 2)
    assert given_up == ["other", "paused"]


async def test_a_process_that_did_not_run_does_not_blame_the_upstream() -> None:
    given_up: list[str] = []
    patience = Patience(0.3, lambda: given_up.append("late"))
    time.sleep(0.5)  # sleep: the loop stands still
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert given_up == []
    patience.stop()
