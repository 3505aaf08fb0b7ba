"""Topics with bounds of their own: a noisy one drops its own entries, and its readers are told."""

import random
import secrets
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import pytest

from eddyline.journal.base import Entry, Interest, Journal, NewEntry, Page, TopicBounds
from eddyline.journal.cursor import Cursor
from eddyline.journal.memory import MemoryJournal
from eddyline.redis.journal import RedisJournal

#: The bounds of topics by their first letter; others have none.
BOUNDS = {
    "c": TopicBounds(max_entries=3),
    "b": TopicBounds(max_bytes=3000),
    "a": TopicBounds(max_age=0.2),
}
ROOM = 40_000


def of_topic(topic: str) -> TopicBounds | None:
    return BOUNDS.get(topic[0])


@pytest.fixture(params=["memory", "redis"])
async def journal(request: pytest.FixtureRequest) -> AsyncIterator[Journal]:
    if request.param == "memory":
        yield MemoryJournal(ROOM, of_topic=of_topic)
        return
    url = request.getfixturevalue("redis_url")
    options: dict[str, Any] = {"max_bytes": ROOM, "of_topic": of_topic}
    async with RedisJournal(url, secrets.token_hex(8), **options) as journal:
        yield journal


async def append(journal: Journal, *topics: str, count: int = 1, **options: Any) -> Cursor:
    new = NewEntry(topics[0], "x" * 100, alternates=topics[1:], **options)
    return (await journal.append([new] * count))[-1].cursor


async def retained(journal: Journal, topic: str) -> list[int]:
    entries, page = [], await journal.read(None, 1000)
    since = Interest(page.head.sequence)
    while page.entries:
        assert page.gap is None
        entries += page.entries
        page = await journal.read(page.entries[-1].cursor, 1000, since)
    return [entry.cursor.sequence for entry in entries if topic in entry.topics]


def missed(page: Page, topic: str) -> bool:
    return page.gap_of(lambda asked: asked == topic) is not None


async def test_a_topic_keeps_its_newest_entries_and_others_theirs(journal: Journal) -> None:
    quiet = [(await append(journal, "quiet")).sequence for _ in range(3)]
    for _ in range(10):
        last = await append(journal, "count", count=40)
    head = last.sequence
    assert await retained(journal, "count") == [head - 2, head - 1, head]
    assert await retained(journal, "quiet") == quiet


async def test_bytes_are_counted_as_the_journal_counts_them(journal: Journal) -> None:
    for _ in range(10):
        await append(journal, "bytes", count=5)
    # 500 beside each entry's frame or record, of 130 to 200 bytes.
    assert 3 <= len(await retained(journal, "bytes")) <= 4
    await append(journal, "bytes", "x" * 4000)
    assert len(await retained(journal, "bytes")) == 1, "the newest stays, whatever its size"


async def test_entries_of_a_topic_go_by_their_age(journal: Journal) -> None:
    old = await append(journal, "age", count=3)
    await append(journal, "quiet")
    end = time.monotonic() + 20
    while await retained(journal, "age"):
        assert time.monotonic() < end
    assert missed(await journal.read(Cursor(old.epoch, 0), 10), "age")
    assert [topic for topic, _ in await journal.topics(10)] == ["quiet"]


async def test_the_newest_entry_of_all_stays(journal: Journal) -> None:
    """The last page of a reader ends at the head."""
    await append(journal, "quiet")
    head = await append(journal, "age")
    end = time.monotonic() + 0.4
    while time.monotonic() < end:
        page = await journal.read(None, 10)
        assert page.entries[-1].cursor == page.head == head
    await append(journal, "quiet")
    assert await retained(journal, "age") == []


async def test_a_reader_of_a_topic_that_lost_entries_is_told_and_no_other(journal: Journal) -> None:
    start = await append(journal, "quiet")
    await append(journal, "count", "count too", count=10)
    page = await journal.read(start, 100)
    assert page.gap is None
    assert (missed(page, "count"), missed(page, "count too")) == (True, True)
    assert not missed(page, "quiet")
    assert [entry.cursor.sequence for entry in page.entries] == [9, 10, 11]
    assert not missed(await journal.read(Cursor(start.epoch, 8), 100), "count")


async def test_readers_of_all_that_is_retained_miss_nothing_of_before(journal: Journal) -> None:
    await append(journal, "quiet", count=2)
    await append(journal, "count", count=10)
    page = await journal.read(None, 1)
    first, began = page.entries[0].cursor, Interest(page.head.sequence)
    assert missed(await journal.read(first, 100), "count")
    assert not missed(await journal.read(first, 100, began), "count")
    await append(journal, "count", count=5)
    assert missed(await journal.read(first, 100, began), "count")


async def test_many_topics_that_lost_some_cost_no_other_its_place(redis_url: str) -> None:
    """A hub of thousands of devices that keeps the last values of each."""
    redis = RedisJournal(redis_url, secrets.token_hex(8), of_topic=of_topic)
    async with redis:
        await check_devices(MemoryJournal(of_topic=of_topic))
        await check_devices(redis)


async def check_devices(journal: Journal) -> None:
    start = await append(journal, "quiet")
    for _ in range(4):
        await journal.append([NewEntry(f"c{n}", "x") for n in range(1100)])
    assert (await journal.read(start, 10)).gap == "trimmed", "too many to be told"
    page = await journal.read(start, 10, Interest(topics=frozenset({"quiet", "c7"})))
    assert (page.gap, page.lost) == (None, ("c7",))
    page = await journal.read(start, 10, Interest(topics=frozenset({"quiet"})))
    assert (page.gap, page.lost) == (None, ())


async def test_the_last_entries_of_topics_are_found(journal: Journal) -> None:
    for _ in range(4):
        await append(journal, "quiet")
        await append(journal, "c1")
    await append(journal, "c2")
    page = await journal.read(None, 100, Interest(last=(("c1", 2), ("c2", 2), ("c3", 2))))
    assert page.starts == {"c1": 5, "c2": 8, "c3": 9}
    assert page.oldest.sequence == 5
    assert [entry.cursor.sequence for entry in page.entries] == [6, 7, 8, 9]
    page = await journal.read(None, 100, Interest(last=(("c3", 1),)))
    assert (page.entries, page.oldest, page.gap) == ([], page.head, None)


async def test_an_own_id_of_an_entry_that_went_names_no_other(journal: Journal) -> None:
    """A client that has it would be taken to the new entry, and miss all between them."""
    first = await append(journal, "count", id="UPDATE")
    for _ in range(4):
        await append(journal, "count")
    assert await journal.locate("UPDATE") is None
    [receipt] = await journal.append([NewEntry("count", "x" * 100, id="UPDATE")])
    assert (receipt.outcome, receipt.cursor.sequence) == ("taken", first.sequence)
    for _ in range(3):
        await append(journal, "noise", count=100)
    [receipt] = await journal.append([NewEntry("count", "x" * 100, id="UPDATE")])
    assert receipt.outcome == "taken"
    assert await journal.locate("UPDATE") is None


@pytest.mark.parametrize("seed", range(3))
async def test_every_reader_gets_its_entries_or_is_told(journal: Journal, seed: int) -> None:
    """Of any topic, from any place, at any time."""
    chance = random.Random(seed)
    topics = ["c1", "c2", "b1", "a1", "free", "other"]
    written: defaultdict[str, list[int]] = defaultdict(list)
    cursors: list[Cursor] = []
    for _ in range(60):
        batch = []
        for _ in range(chance.randint(1, 12)):
            topic = chance.choice(topics[: chance.randint(1, 6)])
            alternates = tuple(chance.sample(topics, chance.choice([0, 0, 0, 1, 2])))
            size = chance.choice([10, 100, 1500])
            batch.append(NewEntry(topic, "x" * size, alternates=alternates))
        for new, receipt in zip(batch, await journal.append(batch), strict=True):
            cursors.append(receipt.cursor)
            for topic in {new.topic, *new.alternates}:
                written[topic].append(receipt.cursor.sequence)
        for _ in range(4):
            await check(journal, chance.choice(cursors), chance.choice(topics), written)
    assert (await journal.read(cursors[0], 10)).lost


async def check(journal: Journal, after: Cursor, topic: str, written: dict[str, list[int]]) -> None:
    expected = [sequence for sequence in written[topic] if sequence > after.sequence]
    got: list[Entry] = []
    while True:
        page = await journal.read(after, 7)
        if missed(page, topic):
            assert {each.cursor.sequence for each in got} < set(expected)
            return
        after = page.start(after)
        if not page.entries:
            break
        got += [entry for entry in page.entries if topic in entry.topics]
        after = page.entries[-1].cursor
    assert after.sequence == page.head.sequence
    assert [entry.cursor.sequence for entry in got] == expected
