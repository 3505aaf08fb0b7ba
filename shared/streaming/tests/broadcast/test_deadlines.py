import time
from types import SimpleNamespace
from typing import Any

import pytest

from eddyline.broadcast.deadlines import Stall, deadline
from eddyline.policy import StreamPolicy

POLICY = StreamPolicy(max_age=100.0)


def after(at: float) -> float:
    return at - time.monotonic()


def test_a_stream_ends_at_its_age_each_at_another_moment() -> None:
    ends = [deadline(POLICY, None, None) for _ in range(200)]
    assert {reason for _, reason in ends} == {"age"}
    ages = [after(at) for at, _ in ends]
    assert 79 < min(ages) < 85
    assert 95 < max(ages) <= 100


@pytest.mark.parametrize(
    ("expires", "seconds", "expected", "reason"),
    [(10, None, 10, "expired"), (10, 5.0, 5, "age"), (5, 10.0, 5, "expired"), (200, 7.0, 7, "age")],
)
def test_the_sooner_of_its_limits_ends_it(
    expires: float, seconds: float | None, expected: float, reason: str
) -> None:
    at, why = deadline(POLICY, time.time() + expires, seconds)
    assert why == reason
    assert after(at) == pytest.approx(expected, abs=1)


def test_a_peer_that_reads_a_little_is_not_stalled() -> None:
    connection: Any = SimpleNamespace(buffered=1000)
    stall = Stall(connection, 10.0)
    began = time.monotonic()
    assert stall.ends_at(began + 9) == pytest.approx(began + 10, abs=1)
    connection.buffered = 999
    assert stall.ends_at(began + 9) == pytest.approx(began + 19, abs=1)
    assert stall.ends_at(began + 15) == pytest.approx(began + 19, abs=1)
