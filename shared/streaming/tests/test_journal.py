"""The contract that any journal must keep (fixture `journal`), and what is the memory journal's
own.
"""

import asyncio
import time
from unittest.mock import patch

import pytest

from streaming.cursor import Cursor
from streaming.journal import ENTRY_OVERHEAD, Entry, Journal, MemoryJournal, NewEntry
from streaming.sse import Parser


@pytest.fixture(params=["memory"])
def journal(request: pytest.FixtureRequest) -> Journal:
    return MemoryJournal()


async def fill(journal: Journal, count: int, topic: str = "t") -> list[Entry]:
    return [await journal.append(NewEntry(topic, f"event {n}")) for n in range(count)]


def data(entry: Entry) -> str:
    (event,) = Parser().feed(entry.frame)
    return event.data


async def test_sequences_count_up_by_one_from_one(journal):
    before = await journal.head()
    entries = await fill(journal, 5)
    assert before.sequence == 0
    assert [e.cursor.sequence for e in entries] == [1, 2, 3, 4, 5]
    assert {e.cursor.epoch for e in entries} == {before.epoch}
    assert await journal.head() == entries[-1].cursor


async def test_concurrent_appends_each_get_a_place(journal):
    entries = await asyncio.gather(*(journal.append(NewEntry("t", str(n))) for n in range(200)))
    assert sorted(e.cursor.sequence for e in entries) == list(range(1, 201))


async def test_reading_from_a_cursor_gives_what_follows_it(journal):
    entries = await fill(journal, 5)
    page = await journal.read(entries[1].cursor, 100)
    assert page.entries == entries[2:]
    assert page.gap is None
    assert (await journal.read(entries[4].cursor, 100)).entries == []


async def test_reading_from_none_gives_all_that_is_retained(journal):
    entries = await fill(journal, 5)
    page = await journal.read(None, 100)
    assert page.entries == entries
    assert (await journal.read(page.oldest, 100)).entries == entries


async def test_pages_join_to_the_whole(journal):
    entries = await fill(journal, 10)
    read: list[Entry] = []
    cursor = None
    while True:
        page = await journal.read(cursor, 3)
        if not page.entries:
            break
        assert len(page.entries) <= 3
        read += page.entries
        cursor = page.entries[-1].cursor
    assert read == entries


async def test_a_cursor_of_another_epoch_is_told(journal):
    await fill(journal, 3)
    page = await journal.read(Cursor("another", 2), 100)
    assert page.gap == "epoch"
    assert page.entries == []


async def test_a_cursor_ahead_of_the_head_is_told(journal):
    entries = await fill(journal, 3)
    page = await journal.read(Cursor(entries[0].cursor.epoch, 4), 100)
    assert page.gap == "future"


async def test_followers_get_each_entry_once_in_order(journal):
    await fill(journal, 2)
    got: list[Entry] = []
    async with journal.follow(got.append) as head:
        assert head.sequence == 2
        entries = await fill(journal, 3)
        async with asyncio.timeout(10):
            while len(got) < 3:
                await asyncio.sleep(0)
    await fill(journal, 1)
    assert got == entries


async def test_a_publishers_own_id_is_sent_and_found(journal):
    await fill(journal, 1)
    entry = await journal.append(NewEntry("t", "x", id="order-7"))
    again = await journal.append(NewEntry("t", "y", id="order-7"))
    (event,) = Parser().feed(entry.frame)
    assert event.id == "order-7"
    assert again.cursor != entry.cursor
    assert await journal.locate("order-7") == entry.cursor
    assert await journal.locate("order-8") is None


async def test_an_entry_is_encoded_whole(journal):
    entry = await journal.append(NewEntry("t", "one\r\ntwo\rthree", event="kind", retry=5))
    parser = Parser()
    (event,) = parser.feed(entry.frame)
    assert (event.event, event.data) == ("kind", "one\ntwo\nthree")
    assert event.id == str(entry.cursor)
    assert parser.retry == 5


async def test_memory_is_bounded_by_bytes():
    frame = ENTRY_OVERHEAD + 1000
    journal = MemoryJournal(max_bytes=10 * frame)
    entries = [await journal.append(NewEntry("t", "x" * 960)) for _ in range(100)]
    page = await journal.read(None, 1000)
    assert 5 <= len(page.entries) <= 10
    assert page.entries == entries[-len(page.entries) :]
    trimmed = await journal.read(entries[0].cursor, 1000)
    assert trimmed.gap == "trimmed"
    assert trimmed.oldest == page.oldest
    assert (await journal.read(entries[-len(page.entries) - 2].cursor, 1000)).gap == "trimmed"
    # The cursor right before the oldest entry has missed nothing.
    assert (await journal.read(entries[-len(page.entries) - 1].cursor, 1000)).gap is None


async def test_the_newest_entry_is_kept_however_large():
    journal = MemoryJournal(max_bytes=100)
    entry = await journal.append(NewEntry("t", "x" * 1000))
    assert (await journal.read(None, 10)).entries == [entry]


async def test_memory_is_bounded_by_age():
    journal = MemoryJournal(max_age=60)
    with patch("streaming.journal.time.time", return_value=time.time() - 61):
        old = await journal.append(NewEntry("t", "old", id="own"))
    young = await journal.append(NewEntry("t", "young"))
    assert (await journal.read(None, 10)).entries == [young]
    assert (await journal.read(Cursor(old.cursor.epoch, 0), 10)).gap == "trimmed"
    assert await journal.locate("own") is None


async def test_two_lives_of_a_journal_have_two_epochs():
    assert (await MemoryJournal().head()).epoch != (await MemoryJournal().head()).epoch
