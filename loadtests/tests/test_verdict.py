"""A run fails by failures, by slowness, and where nothing was measured."""

from types import SimpleNamespace
from typing import Any

from loadtests.verdict import NEEDED, faults


def stats(failures: int = 0, p99: float = 10.0, names: tuple[str, ...] = NEEDED) -> Any:
    entries = {
        name: SimpleNamespace(name=name, num_requests=5, get_response_time_percentile=lambda _: p99)
        for name in names
    }
    return SimpleNamespace(
        entries=entries, total=SimpleNamespace(num_failures=failures, num_requests=10)
    )


def test_a_good_run_has_no_faults() -> None:
    assert faults(stats()) == []


def test_a_failure_is_one() -> None:
    assert faults(stats(failures=2)) == ["2 of 10 samples failed"]


def test_slowness_is_one() -> None:
    assert "p99 9000 ms" in faults(stats(p99=9000.0))[0]


def test_a_run_that_measured_nothing_fails() -> None:
    assert faults(stats(names=())) == [f"nothing was measured of {name!r}" for name in NEEDED]
