"""Each fault of the chaos harness, for seconds: nothing lost, twice, or out of order."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from chaos import ALL_FAULTS, FAULTS, LOSES_DATA, Step, World, passed, rampage, world

pytestmark = pytest.mark.slow

#: How long a fault lasts here: `make chaos` takes its time.
SECONDS = 4.0


@pytest.mark.parametrize("fault", FAULTS)
async def test_nothing_is_lost_or_twice(fault: str, tmp_path: Path) -> None:
    async with world(tmp_path) as made:
        hangs = fault in ("hang_redis", "stop_redis")
        # An append waits for 5 s before its publisher is told.
        await FAULTS[fault](made, SECONDS + 3 if hangs else SECONDS)
        await made.flows()
    tally = made.tally()
    assert (tally.lost, tally.twice, tally.disorder) == (0, 0, 0)
    assert made.refused > 0 or not hangs
    if fault in LOSES_DATA:
        assert set(tally.resets) == {"epoch"}
        assert tally.resets.total() >= len(made.subscribers)
    else:
        assert not tally.resets
    for process in made.processes:
        assert "Traceback" not in process.log.read_text()


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_fifty_strict_subscribers_survive_all_faults_one_after_the_other(
    tmp_path: Path,
) -> None:
    steps: list[Step] = []
    await rampage(25, 0.0, tmp_path, steps)
    assert len(steps) == len(ALL_FAULTS) >= 25
    for step in steps:
        tally = step.tally
        assert (tally.lost, tally.twice, tally.disorder) == (0, 0, 0), step.fault
    assert passed(steps), [(step.fault, step.tally.resets) for step in steps]


async def test_nothing_is_lost_where_a_worker_of_gunicorn_is_killed(tmp_path: Path) -> None:
    async with world(tmp_path, workers=2) as made:
        for _ in range(2):
            os.kill(await asyncio.to_thread(a_worker, made), signal.SIGKILL)
            await made.flows()
    tally = made.tally()
    assert (tally.lost, tally.twice, tally.disorder, tally.resets.total()) == (0, 0, 0, 0)
    assert tally.reconnects > 0


def a_worker(made: World) -> int:
    process = made.processes[0].process
    assert process is not None
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    command = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    return next(int(p) for p in children if Path(f"/proc/{p}/cmdline").read_bytes() == command)
