"""A worker that leaves during a run is named, however it leaves, and its streams are not open."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from eddyline.testing import wait_until
from loadtests.local import Suite, metrics, running_suite, several

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("sabotage"), pytest.mark.timeout(120)]

#: Seconds in which something must have happened.
PATIENCE = 30.0

STREAMS = 20


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    with running_suite(tmp_path_factory.mktemp("suite"), ["events"]) as running:
        yield running


def wait_for(condition: Callable[[], bool]) -> None:
    wait_until(condition, PATIENCE)


def test_a_worker_that_leaves_in_order_is_named(suite: Suite, tmp_path: Path) -> None:
    thresholds, export = tmp_path / "thresholds.toml", tmp_path / "run.json"
    thresholds.write_text("[most]\nlost = 0\n")
    port = suite.ports["events"]
    command = [sys.executable, "-m", "loadtests", "--headless", "-u", str(STREAMS), "-r", "100"]
    command += ["-t", "15s", "--export", str(export), "--thresholds", str(thresholds)]
    command += ["Publisher", "EventSubscriber", "--publishers", "1", *several(2)]
    with subprocess.Popen(command, env=os.environ | suite.urls(), stdout=subprocess.PIPE) as run:
        try:
            wait_for(lambda: metrics(port)["open"] == STREAMS - 1)
            # Both have reported their open streams.
            time.sleep(4)  # sleep: workers report each 3 s, and a headless master tells nothing
            worker = psutil.Process(run.pid).children()[0]
            worker.send_signal(signal.SIGTERM)
            worker.wait(PATIENCE)
            output = run.communicate(timeout=PATIENCE)[0].decode()
        finally:
            run.kill()
    assert "FAILED: workers that left: 1\n" in output
    assert run.returncode == 1
    # The other one took its users over.
    assert json.loads(export.read_text())["kinds"]["events"]["open"] == STREAMS - 1
