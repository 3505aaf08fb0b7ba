"""Entries that are not retained any more are missed by readers of their topics, by no others."""

import secrets
from collections.abc import AsyncIterator

import pytest

from eddyline.journal.base import Journal, NewEntry, Page
from eddyline.journal.cursor import Cursor
from eddyline.journal.memory import MemoryJournal
from eddyline.redis.journal import RedisJournal

ROOM = 20_000


@pytest.fixture(params=["memory", "redis"])
async def journal(request: pytest.FixtureRequest) -> AsyncIterator[Journal]:
    if request.param == "memory":
        yield MemoryJournal(ROOM)
        return
    url = request.getfixturevalue("redis_url")
    async with RedisJournal(url, secrets.token_hex(8), max_bytes=ROOM) as journal:
        yield journal


async def append(journal: Journal, *topics: str, count: int = 1) -> Cursor:
    new = NewEntry(topics[0], "x" * 100, alternates=topics[1:])
    return (await journal.append([new] * count))[-1].cursor


def missed(page: Page, topic: str) -> bool:
    return page.gap_of(lambda asked: asked == topic) is not None


async def test_a_noisy_topic_costs_no_other_its_place(journal: Journal) -> None:
    seen = await append(journal, "orders/7")
    for _ in range(3):
        await append(journal, "noise", count=100)
    page = await journal.read(seen, 10)
    assert page.lost == ("noise",)
    assert page.gap is None
    assert (missed(page, "orders/7"), missed(page, "noise")) == (False, True)
    assert page.entries[0].cursor.sequence == page.oldest.sequence + 1
    later = await append(journal, "orders/7")
    page = await journal.read(seen, 1000)
    assert not missed(page, "orders/7")
    assert page.entries[-1].cursor == later


async def test_a_topic_whose_entries_went_is_missed_whatever_came_after(journal: Journal) -> None:
    seen = await append(journal, "a")
    missing = await append(journal, "b", 'alternate "é" \\ name', "c")
    await append(journal, "noise", count=100)
    await append(journal, "b")
    page = await journal.read(seen, 10)
    for topic in ("b", "c", 'alternate "é" \\ name'):
        assert missed(page, topic), topic
    assert not missed(page, "a")
    assert not missed(await journal.read(missing, 10), "b")


async def test_losses_that_nobody_knows_are_told_to_all(journal: Journal) -> None:
    seen = await append(journal, "quiet")
    await journal.append([NewEntry(f"topic/{n}", "x") for n in range(1100)])
    await append(journal, "noise", count=100)
    assert (await journal.read(seen, 10)).gap == "trimmed"


async def test_marks_that_went_are_losses_of_all(redis_url: str) -> None:
    """Redis evicted them, or an earlier version trimmed without any."""
    async with RedisJournal(redis_url, secrets.token_hex(8), max_bytes=ROOM) as journal:
        seen = await append(journal, "quiet")
        await append(journal, "noise", count=100)
        assert not missed(await journal.read(seen, 10), "quiet")
        await journal.link.call("DEL", journal.keys.key("lost"))
        assert (await journal.read(seen, 10)).gap == "trimmed"
        await append(journal, "noise", count=100)
        assert (await journal.read(seen, 10)).gap == "trimmed"
        newer = await append(journal, "quiet")
        await append(journal, "noise", count=100)
        assert not missed(await journal.read(newer, 10), "quiet")


async def test_a_place_is_kept_over_an_epoch_that_lost_nothing(redis_url: str) -> None:
    async with RedisJournal(redis_url, secrets.token_hex(8), max_bytes=ROOM) as journal:
        seen = await append(journal, "quiet")
        await journal.link.call("HSET", journal.keys.key("meta"), "server", "another")
        for _ in range(3):
            await append(journal, "noise", count=50)
            await journal.link.call("HSET", journal.keys.key("meta"), "server", "another")
        assert not missed(await journal.read(seen, 10), "quiet")
