"""The contract of a journal and its signals, as tests.

They want fixtures `journal` and `signals`, new for each test. Import all of them into a module of
tests: `from eddyline.testing.journal_contract import *`. A line in conftest.py makes their failures
readable: `pytest.register_assert_rewrite("eddyline.testing.journal_contract")`.
"""

import asyncio
import time
from typing import Any

import pytest

from eddyline.errors import BadRequest
from eddyline.journal.base import Entry, Journal, NewEntry, Signals
from eddyline.journal.cursor import Cursor
from eddyline.wire.sse import Parser


async def append(journal: Journal, topic: str, data: str, **options: Any) -> Entry:
    """One entry, as it can then be read."""
    [receipt] = await journal.append([NewEntry(topic, data, **options)])
    cursor = receipt.cursor
    [entry] = (await journal.read(Cursor(cursor.epoch, cursor.sequence - 1), 1)).entries
    assert (entry.cursor, entry.id) == (cursor, receipt.id)
    return entry


async def fill(journal: Journal, count: int, topic: str = "t") -> list[Entry]:
    return [await append(journal, topic, f"event {n}") for n in range(count)]


async def head(journal: Journal) -> Cursor:
    return (await journal.read(None, 0)).head


class Notes:
    """A follower that notes each call."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.skips: list[Cursor] = []
        self.ephemeral: list[tuple[str, str]] = []
        self.signals: list[bytes] = []

    def deliver(self, entry: Entry) -> None:
        self.entries.append(entry)

    def skip(self, head: Cursor) -> None:
        self.skips.append(head)

    def deliver_ephemeral(self, topic: str, data: str) -> None:
        self.ephemeral.append((topic, data))

    def signal(self, message: bytes) -> None:
        self.signals.append(message)


async def test_sequences_count_up_by_one_from_one(journal: Journal) -> None:
    before = await head(journal)
    entries = await fill(journal, 5)
    assert before.sequence == 0
    assert [e.cursor.sequence for e in entries] == [1, 2, 3, 4, 5]
    assert {e.cursor.epoch for e in entries} == {before.epoch}
    assert await head(journal) == entries[-1].cursor


async def test_concurrent_appends_each_get_a_place(journal: Journal) -> None:
    batches = [[NewEntry("t", f"{n}.{m}") for m in range(3)] for n in range(100)]
    receipts = await asyncio.gather(*(journal.append(batch) for batch in batches))
    sequences = [[receipt.cursor.sequence for receipt in batch] for batch in receipts]
    assert sorted(n for batch in sequences for n in batch) == list(range(1, 301))
    assert all(batch == sorted(batch) for batch in sequences)


async def test_reading_from_a_cursor_gives_what_follows_it(journal: Journal) -> None:
    entries = await fill(journal, 5)
    page = await journal.read(entries[1].cursor, 100)
    assert page.entries == entries[2:]
    assert page.gap is None
    assert (await journal.read(entries[4].cursor, 100)).entries == []


async def test_reading_from_none_gives_all_that_is_retained(journal: Journal) -> None:
    entries = await fill(journal, 5)
    page = await journal.read(None, 100)
    assert page.entries == entries
    assert (await journal.read(page.oldest, 100)).entries == entries


async def test_pages_join_to_the_whole(journal: Journal) -> None:
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


async def test_a_cursor_of_another_epoch_is_told(journal: Journal) -> None:
    await fill(journal, 3)
    page = await journal.read(Cursor("another", 2), 100)
    assert page.gap == "epoch"
    assert page.entries == []


async def test_a_cursor_ahead_of_the_head_is_told(journal: Journal) -> None:
    entries = await fill(journal, 3)
    page = await journal.read(Cursor(entries[0].cursor.epoch, 4), 100)
    assert page.gap == "future"


async def test_followers_get_each_entry_once_in_order(journal: Journal) -> None:
    await fill(journal, 2)
    notes = Notes()
    async with journal.follow(notes):
        entries = await fill(journal, 3)
        async with asyncio.timeout(20):
            while not notes.entries or notes.entries[-1] != entries[-1]:
                await asyncio.sleep(0)
    await fill(journal, 1)
    # A follower may be given entries of before.
    [start] = notes.skips
    assert start.sequence <= 2
    sequences = [entry.cursor.sequence for entry in notes.entries]
    assert sequences == list(range(start.sequence + 1, 6))
    assert notes.entries[-3:] == entries


async def test_a_signal_reaches_every_follower(journal: Journal, signals: Signals) -> None:
    one, two = Notes(), Notes()
    async with journal.follow(one), journal.follow(two):
        await signals.signal(b"hello")
        async with asyncio.timeout(20):
            while not (one.signals and two.signals):
                await asyncio.sleep(0)
    assert one.signals == two.signals == [b"hello"]


async def test_an_idempotency_key_appends_once(journal: Journal) -> None:
    first, second = NewEntry("t", "x", key="k"), NewEntry("t", "y", key="other")
    receipts = await journal.append([first, second, first])
    assert [receipt.outcome for receipt in receipts] == ["appended", "appended", "repeated"]
    assert receipts[2].cursor == receipts[0].cursor
    [again] = await journal.append([first])
    assert (again.outcome, again.cursor, again.id) == ("repeated", receipts[0].cursor, again.id)
    [other] = await journal.append([NewEntry("t", "another", key="k")])
    assert (other.outcome, other.cursor) == ("conflict", receipts[0].cursor)
    assert (await head(journal)).sequence == 2


async def test_topics_are_listed_by_their_newest_entry(journal: Journal) -> None:
    for topic in "abcab":
        await append(journal, topic, "x")
    await append(journal, "d", "x", alternates=("e",))
    found = await journal.topics(10)
    assert [(t, cursor.sequence) for t, cursor in found[2:]] == [("b", 5), ("a", 4), ("c", 3)]
    assert {(t, cursor.sequence) for t, cursor in found[:2]} == {("d", 6), ("e", 6)}
    assert [t for t, _ in await journal.topics(1, before=5)] == ["a"]


async def test_what_a_publisher_said_is_kept(journal: Journal) -> None:
    entry = await append(journal, "a", "[1]", alternates=("b", "c"), json=True, private=True)
    assert entry.topics == ("a", "b", "c")
    assert (entry.json, entry.private) == (True, True)
    assert abs(entry.time - time.time()) < 5
    plain = await append(journal, "a", "x")
    assert (plain.topics, plain.json, plain.private) == (("a",), False, False)


async def test_a_publishers_own_id_is_sent_and_found(journal: Journal) -> None:
    await fill(journal, 1)
    entry = await append(journal, "t", "x", id="order-7", alternates=("u",), private=True)
    (event,) = Parser().feed(entry.frame)
    assert event.id == "order-7"
    found = await journal.locate("order-7")
    assert found is not None
    assert (found.cursor, found.id) == (entry.cursor, "order-7")
    assert (found.topics, found.private) == (("t", "u"), True)
    assert await journal.locate("order-8") is None


async def test_an_own_id_names_one_entry(journal: Journal) -> None:
    """An entry that comes twice under its id is one; resuming from an id of many repeats them."""
    first = await append(journal, "t", "x", id="order-7")
    [same, other] = await journal.append(
        [NewEntry("t", "x", id="order-7"), NewEntry("t", "y", id="order-7")]
    )
    assert (same.outcome, same.cursor, same.id) == ("repeated", first.cursor, "order-7")
    assert (other.outcome, other.cursor, other.id) == ("taken", first.cursor, "order-7")
    assert await head(journal) == first.cursor


@pytest.mark.parametrize("id", ["", "earliest", "0.0", "d3310548.5", "abc.999999999999999999"])
async def test_an_id_like_a_cursor_is_refused(journal: Journal, id: str) -> None:
    """A client that resumes from a cursor of an ended epoch would be taken to this entry."""
    with pytest.raises(BadRequest):
        await journal.append([NewEntry("t", "x", id=id)])
    assert (await head(journal)).sequence == 0


async def test_an_entry_is_encoded_whole(journal: Journal) -> None:
    entry = await append(journal, "t", "one\r\ntwo\rthree", event="kind", retry=5)
    parser = Parser()
    (event,) = parser.feed(entry.frame)
    assert (event.event, event.data) == ("kind", "one\ntwo\nthree")
    assert (entry.event, entry.data, entry.retry) == ("kind", "one\ntwo\nthree", 5)
    assert event.id == str(entry.cursor)
    assert parser.retry == 5
