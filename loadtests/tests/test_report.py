"""docs/load.md: the figures of a run, and where they come from."""

from typing import Any

from loadtests.local import SERVICES
from loadtests.report import report


def sample(t: float, opened: int, events: int) -> dict[str, Any]:
    idle = {"open": 0, "started": 0, "events": 0, "cpu": 1.0, "memory": 2**26}
    memory = 2**26 + 3000 * opened
    busy = {"open": opened, "events": events, "cpu": 1 + events / 10**5, "memory": memory}
    client = {"cpu": t / 2, "memory": 2**27}
    # Their events are lines, which nobody compares with events.
    logs = idle | {"events": 7 * events}
    return {"t": t, **dict.fromkeys(SERVICES, idle), "logs": logs, "events": busy, "client": client}


RUN: dict[str, Any] = {
    "command": "make load-local STREAMS=500",
    "began": 1000.0,
    "knobs": {"publishers": 2, "publish_rate": 0.5},
    "elapsed": 115.0,
    "seconds": 110.0,
    "verdict": [],
    "kinds": {
        "events": dict.fromkeys(
            (
                "received",
                "lost",
                "repeated",
                "reordered",
                "stalled",
                "dirty",
                "reconnects",
                "refused",
            ),
            11270,
        )
    },
    "histograms": {
        "event latency": {
            "count": 7,
            "p50": 0.0042,
            "p90": 0.01,
            "p99": 0.1,
            "p999": 1,
            "max": 2,
        },
        "gap": {"count": 0},
    },
    "series": [{"t": t, "open": {"events": 500}, "events": 98.0} for t in range(115)],
    "server": [
        sample(0, 0, 0),
        sample(50, 500, 5000),
        sample(60, 500, 6000),
        sample(110, 505, 11000),
    ],
}


def test_it_has_both_views_and_the_costs() -> None:
    text = report(RUN)
    assert "**500 streams at the end, 115 s" in text
    assert "Verdict: passed." in text
    assert "| events | 11,270 | 11,270 |" in text
    assert "| event latency | 7 | 4.2 | 10.0 | 100.0 | 1,000.0 | 2,000.0 |" in text
    assert "gap" not in text.split("What the servers saw")[0].split("samples")[1]
    assert "| 60 s | 500 | 500 | 5,880 | 6,000 | 98 | 100 |" in text
    assert "| 110 s | 500 | 505 | 10,780 | 11,000 | 98 | 100 |" in text
    assert "`make load-local STREAMS=500`, then" in text
    assert "in 5 s, holds them for 110 s," in text
    assert "it took 50% of one, and the suite\n0%." in text
    assert "some 100 of them" in text
    # 0.05 s of CPU for 5,000 events in 50 s; 3,000 bytes a stream.
    assert "| events | 505 | 0% | 65 MiB | 3.0 kB | 10 µs |" in text
    # 25 s of CPU for 4,900 events.
    assert "| client | 0 | 50% | 128 MiB |  | 5102 µs |" in text
    assert "$" not in text


def test_what_is_wrong_is_said() -> None:
    assert "Verdict: lost 3 events; publish: slow." in report(
        RUN | {"verdict": ["lost 3 events", "publish: slow"]}
    )
