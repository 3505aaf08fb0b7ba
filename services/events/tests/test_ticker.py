"""The demo: the lesson's events, once for all processes of a hub, until they drain."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from eddyline.journal.base import Journal
from eddyline.journal.memory import MemoryJournal
from eddyline.journal.state import MemoryState, State
from eddyline.redis.journal import RedisJournal
from eddyline.redis.state import RedisState
from eddyline.service.drain import Drain
from eddyline.tasks import background
from eddyline.testing import eventually
from eddyline_events.ticker import COUNT, TOPIC, tick

SECOND = 0.02


async def counts(journal: Journal) -> list[int]:
    """Of the events that are there, in their order."""
    entries = (await journal.read(None, 1000)).entries
    assert {entry.topic for entry in entries} <= {TOPIC}
    return [json.loads(entry.data)["count"] for entry in entries]


async def until(journal: Journal, count: int) -> None:
    async def reached() -> bool:
        return (await counts(journal) or [0])[-1] >= count

    await eventually(reached)


async def test_it_counts_until_the_process_drains() -> None:
    journal, drain = MemoryJournal(), Drain()
    ticking = asyncio.create_task(tick(journal, MemoryState(), drain, 0.001))
    async with asyncio.timeout(20):
        await until(journal, 3)
        drain.draining = True
        await ticking
    first = (await journal.read(None, 1)).entries[0]
    assert first.topic == TOPIC
    assert b'data: {"count": 1, "message": "Event 1"}\n' in first.frame


@asynccontextmanager
async def process(url: str, hub: str) -> AsyncIterator[tuple[Journal, State]]:
    async with RedisJournal(url, hub) as journal:
        yield journal, RedisState(journal.link, journal.keys)


async def test_the_processes_of_a_hub_count_together(
    redis_url: str, request: pytest.FixtureRequest
) -> None:
    async with AsyncExitStack() as stack:
        processes = [
            await stack.enter_async_context(process(redis_url, request.node.name)) for _ in range(3)
        ]
        ticking = []
        for journal, state in processes:
            one = await stack.enter_async_context(AsyncExitStack())
            await one.enter_async_context(background(tick(journal, state, Drain(), SECOND)))
            ticking.append(one)
        journal = processes[-1][0]
        # One after the other goes, and those that are left go on.
        for number, one in enumerate(ticking, 1):
            await until(journal, 10 * number)
            await one.aclose()
        found = await counts(journal)
        assert found == list(range(1, len(found) + 1))


async def test_one_ticks_as_often_as_many() -> None:
    journal, state = MemoryJournal(), MemoryState()
    async with AsyncExitStack() as stack:
        for _ in range(5):
            await stack.enter_async_context(background(tick(journal, state, Drain(), SECOND)))
        began = asyncio.get_running_loop().time()
        await until(journal, 20)
        assert asyncio.get_running_loop().time() - began >= 18 * SECOND
    found = await counts(journal)
    assert found == list(range(1, len(found) + 1))


async def test_a_process_that_died_between_event_and_count_is_followed() -> None:
    journal, state = MemoryJournal(), MemoryState()
    async with background(tick(journal, state, Drain(), SECOND)):
        await until(journal, 5)
    await state.put_once(COUNT, b"%d" % (len(await counts(journal)) - 1), 60)
    async with background(tick(journal, state, Drain(), SECOND)):
        await until(journal, 10)
    found = await counts(journal)
    assert found == list(range(1, len(found) + 1))


async def test_who_comes_when_the_first_keys_are_forgotten_goes_on_with_the_count() -> None:
    journal, state = MemoryJournal(), MemoryState()
    async with background(tick(journal, state, Drain(), SECOND)):
        await until(journal, 5)
        journal._keys = MemoryJournal()._keys
        async with background(tick(journal, state, Drain(), SECOND)):
            await until(journal, 10)
    found = await counts(journal)
    assert found == list(range(1, len(found) + 1))
