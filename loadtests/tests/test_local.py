"""Client and server must have seen the same."""

import subprocess
import sys
from collections.abc import Iterable
from typing import Any

import pytest

from loadtests.local import SERVICES, Suite, disagreement, free_port


def sample(t: float, opened: int) -> dict[str, Any]:
    idle = {"open": 0, "events": 0}
    return {"t": t, **dict.fromkeys(SERVICES, idle), "events": idle | {"open": opened}}


def run(samples: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {
        "elapsed": 121.0,
        "seconds": 60.0,
        "series": [{"t": t, "open": {"events": 500, "logs": 0}} for t in range(121)],
        "server": list(samples),
    }


def test_what_agrees_is_not_mentioned() -> None:
    assert disagreement(run(sample(t, 503) for t in range(0, 121, 2))) == ""


def test_other_streams_are_named() -> None:
    found = disagreement(run(sample(t, 500 if t < 100 else 480) for t in range(0, 121, 2)))
    assert found == "after 120 s the client had 500 streams open, the server 480"


@pytest.mark.parametrize("seen", [[], range(0, 114, 2), [*range(0, 84, 2), *range(98, 121, 2)]])
def test_a_server_that_was_not_seen_agrees_with_nothing(seen: Iterable[int]) -> None:
    """At all, at the end, or in the middle."""
    assert disagreement(run(sample(t, 500) for t in seen)) == "the server's view is missing"


def test_a_server_that_tells_nothing_is_not_seen() -> None:
    suite = Suite()
    suite.ports["events"] = free_port()
    with subprocess.Popen([sys.executable, "-c", ""]) as client:
        assert suite.watch(client) == []
