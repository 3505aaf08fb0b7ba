"""Rates: a bucket for each principal, paid for afterwards."""

import pytest

from eddyline import rate
from eddyline.errors import Overloaded
from eddyline.rate import Rate


def rate_of(per_second: float) -> Rate:
    return Rate(per_second, "events", "EVENTS_PUBLISH_RATE")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(rate.time, "monotonic", lambda: now[0])
    return now


def test_a_seconds_worth_at_once_then_as_fast_as_the_rate(clock: list[float]) -> None:
    limit = rate_of(8)
    for _ in range(9):
        limit.take("alice", 1)
    with pytest.raises(Overloaded, match="8 events per second") as refused:
        limit.take("alice", 1)
    assert refused.value.retry_after == 0.125
    limit.take("bob", 1)
    clock[0] += 0.125
    limit.take("alice", 1)


def test_a_batch_larger_than_the_bucket_is_taken_and_paid_for(clock: list[float]) -> None:
    limit = rate_of(10)
    limit.take("alice", 100)
    with pytest.raises(Overloaded) as refused:
        limit.take("alice", 1)
    assert refused.value.retry_after == pytest.approx(9)
    clock[0] += 9.01
    limit.take("alice", 1)


def test_a_rate_of_zero_is_no_limit() -> None:
    for _ in range(100):
        rate_of(0).take("alice", 10_000)


def test_full_buckets_are_forgotten(clock: list[float]) -> None:
    limit = rate_of(10)
    for number in range(100):
        limit.take(number, 5)
    clock[0] += 1
    limit.take("alice", 1)
    assert list(limit._full_at) == ["alice"]
