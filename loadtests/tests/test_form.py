"""The web UI refuses bad values, with words, and starts nothing."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from eddyline.testing import wait_until
from loadtests.local import free_port


@pytest.fixture(scope="module")
def locust() -> Iterator[str]:
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "loadtests", "--web-host", "127.0.0.1"]
    with subprocess.Popen([*command, "--web-port", str(port)], stdin=subprocess.DEVNULL) as run:
        try:
            wait_until(lambda: answers(url) or run.poll() is not None, 60)
            assert run.poll() is None, "no web UI"
            yield url
        finally:
            run.terminate()


def answers(url: str) -> bool:
    with suppress(OSError), urlopen(url, timeout=5):
        return True
    return False


def start(url: str, **form: str) -> Any:
    users = {"user_count": "1", "spawn_rate": "1", "host": "http://127.0.0.1:1"}
    with urlopen(f"{url}/swarm", urlencode(users | form).encode(), timeout=30) as answer:
        return json.load(answer)


def state(url: str) -> str:
    with urlopen(f"{url}/stats/requests", timeout=30) as answer:
        return str(json.load(answer)["state"])


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"all_topics": "7"}, "all-topics is 7.0, expected 0 to 1"),
        ({"stall": "nan"}, "stall is nan, expected 0.1 or more"),
        ({"topics": "x"}, "topics is 'x', expected a whole number"),
        ({"thresholds": "/none"}, "/none: [Errno 2] No such file or directory: '/none'"),
    ],
)
def test_a_bad_form_starts_nothing(locust: str, form: dict[str, str], message: str) -> None:
    answer = start(locust, **form)
    assert (answer["success"], answer["message"]) == (False, message)
    assert state(locust) == "ready"


def test_a_bad_knob_of_the_command_line_is_named() -> None:
    command = [sys.executable, "-m", "loadtests", "--headless", "--churn-part", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.splitlines()[-1] == "loadtests: churn-part is 2.0, expected 0 to 1"
    assert done.returncode


def test_a_shape_is_chosen_in_the_form(locust: str, tmp_path: Path) -> None:
    thresholds = tmp_path / "thresholds.toml"
    thresholds.write_text("[most]\nlost = 0\n")
    stages = {"shape": "stages", "ramp": "1", "thresholds": str(thresholds)}
    answer = start(locust, **stages)
    assert (answer["success"], "Stages" in answer["message"]) == (True, True)
