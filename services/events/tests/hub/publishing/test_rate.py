"""Rates: a bucket for each principal, paid for afterwards, in all processes."""

import secrets
import time

import jwt
import pytest

from eddyline.errors import Overloaded
from eddyline.journal import state
from eddyline.journal.state import MemoryState
from eddyline_events.hub.options import Namespaces
from eddyline_events.hub.publishing.rate import Rate


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(state.time, "monotonic", lambda: now[0])
    return now


async def test_a_seconds_worth_at_once_then_as_fast_as_the_rate(clock: list[float]) -> None:
    limit = Rate(MemoryState(), 8, Namespaces())
    for _ in range(9):
        await limit.take("alice", ["t"])
    with pytest.raises(Overloaded, match="8 events per second") as refused:
        await limit.take("alice", ["t"])
    assert refused.value.retry_after == 0.125
    await limit.take("bob", ["t"])
    clock[0] += 0.125
    await limit.take("alice", ["t"])


async def test_a_batch_larger_than_the_bucket_is_taken_and_paid_for(clock: list[float]) -> None:
    limit = Rate(MemoryState(), 10, Namespaces())
    await limit.take("alice", ["t"] * 100)
    with pytest.raises(Overloaded) as refused:
        await limit.take("alice", ["t"])
    assert refused.value.retry_after == pytest.approx(9)
    clock[0] += 9.01
    await limit.take("alice", ["t"])


async def test_a_rate_of_zero_is_no_limit() -> None:
    limit = Rate(MemoryState(), 0, Namespaces())
    for _ in range(100):
        await limit.take("alice", ["t"] * 1000)


async def test_a_stream_of_lines_waits() -> None:
    limit, began = Rate(MemoryState(), 100, Namespaces()), time.monotonic()
    await limit.wait("alice", ["t"] * 120)
    await limit.wait("alice", ["t"])
    assert time.monotonic() - began >= 0.19


@pytest.mark.parametrize("first", ["native", "mercure"])
async def test_one_rate_holds_over_both_protocols_and_all_processes(
    hub_of, mercure, publish, bearer, redis_url, first
):
    settings = mercure.secured | {
        "auth_issuer": None,
        "publish_rate": 0.01,
        "redis_url": redis_url,
        "hub": secrets.token_hex(8),
    }
    token = jwt.encode({"sub": "alice", "mercure": {"publish": ["*"]}}, mercure.key, "HS256")
    async with hub_of(**settings) as one, hub_of(**settings) as two:

        async def by_mercure(hub) -> int:
            answer, _ = await mercure.post(hub, ("topic", "a"), token=token)
            return answer.status

        async def natively(hub) -> int:
            return (await publish(hub, {"topic": "a"}, bearer("events:publish")))[0]

        ways = [natively, by_mercure] if first == "native" else [by_mercure, natively]
        assert await ways[0](one) in (200, 201)
        for way in ways:
            for hub in (one, two):
                assert await way(hub) == 429
