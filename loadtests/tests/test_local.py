"""Client and server must have seen the same."""

import subprocess
import sys
from collections.abc import Iterable
from typing import Any

import pytest

from loadtests.local import SERVICES, Suite, disagreement, free_port


def sample(t: float, opened: int = 500, sent: float | None = None) -> dict[str, Any]:
    idle = {"open": 0, "started": 0, "events": 0}
    events = {"open": opened, "started": opened + 10, "events": 100 * t if sent is None else sent}
    # Lines are none of the events.
    return {"t": t, **dict.fromkeys(SERVICES, idle | {"events": 999}), "events": events}


def run(samples: Iterable[dict[str, Any]], slow_readers: int = 0) -> dict[str, Any]:
    """100 events a second, to 500 streams."""
    series = [{"t": t, "open": {"events": 500, "logs": 0}, "events": 100} for t in range(121)]
    return {
        "began": 1000.0,
        "elapsed": 121.0,
        "seconds": 60.0,
        "series": series,
        "server": list(samples),
        "kinds": {"events": {"received": 12_100}},
        "shares": {"subscribers": 10, "slow_readers": slow_readers},
        "knobs": {"publishers": 2, "publish_rate": 3, "pause": 10},
    }


def test_what_agrees_is_not_mentioned() -> None:
    assert disagreement(run(sample(t, 503) for t in range(0, 121, 2))) == ""


def test_other_streams_are_named() -> None:
    found = disagreement(run(sample(t, 500 if t < 100 else 480) for t in range(0, 121, 2)))
    assert found == "after 120 s the client had 500 streams open, the server 480"


@pytest.mark.parametrize("seen", [[], range(0, 114, 2), [*range(0, 84, 2), *range(98, 121, 2)]])
def test_a_server_that_was_not_seen_agrees_with_nothing(seen: Iterable[int]) -> None:
    """At all, at the end, or in the middle."""
    assert disagreement(run(sample(t) for t in seen)) == "the server's view is missing"


def test_a_server_that_tells_nothing_is_not_seen() -> None:
    suite = Suite()
    suite.ports["events"] = free_port()
    with subprocess.Popen([sys.executable, "-c", ""]) as client:
        assert suite.watch(client) == []


@pytest.mark.parametrize(
    ("factor", "slow_readers", "found"),
    [
        (1.005, 0, ""),
        # 90 to 110 of 9,000 are on their way or were with the 10 clients that left.
        (1.05, 0, "after 90 s the client had received 9000 events, the server sent 9450"),
        (0.95, 0, "after 90 s the client had received 9000 events, the server sent 8550"),
        # A tenth of the readers may be ten seconds behind; here twice that is.
        (1.02, 1, ""),
        (1.10, 1, "after 90 s the client had received 9000 events, the server sent 9900"),
    ],
)
def test_other_events_are_named(factor: float, slow_readers: int, found: str) -> None:
    samples = (sample(t, sent=100 * t * factor) for t in range(0, 121, 2))
    assert disagreement(run(samples, slow_readers)) == found
