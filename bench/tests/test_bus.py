"""The cost of the bus: the figures are of the machine, but their units are not."""

import os
import shutil
from pathlib import Path

import pytest

from bench.bus import MESSAGE_BYTES, by_a_crowd, through_a_process
from bench.rivals import OURS_ON_REDIS
from bench.servers import serve

pytestmark = pytest.mark.slow


def test_every_process_gets_every_message(programs: Path) -> None:
    if shutil.which("redis-benchmark") is None and "CI" not in os.environ:
        pytest.skip("no redis-benchmark: apt-get install redis-tools")
    with serve(OURS_ON_REDIS) as running:
        cost = through_a_process(programs / "load", running, processes=5, rate=50, seconds=1)
        crowd = by_a_crowd(running, processes=5, messages=500)
    assert cost.events == 50
    assert cost.redis > 0
    assert (cost.process or 0) > 0
    assert cost.sent > 5 * 120
    assert crowd.events == 500
    assert crowd.sent > 5 * MESSAGE_BYTES
