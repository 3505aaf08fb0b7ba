"""The bounds of a journal in memory, filled: they count all that is held."""

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from eddyline.errors import Unavailable
from eddyline.journal import memory
from eddyline.journal.base import Entry, NewEntry, Receipt, TopicBounds
from eddyline.journal.cursor import Cursor
from eddyline.journal.keys import KEY_OVERHEAD, Keys
from eddyline.journal.memory import MemoryJournal
from eddyline.journal.window import Window

BOUND = 2_000_000


def traced(work: Callable[[], Any]) -> tuple[int, Any]:
    """The bytes that the result of `work` holds, and the result."""
    tracemalloc.start()
    try:
        result = work()
        return tracemalloc.get_traced_memory()[0], result
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "entry",
    [
        lambda n: NewEntry("t", "x" * 1000),
        lambda n: NewEntry(f"{n}", "x"),
        lambda n: NewEntry(f"{n}" + "\N{GRINNING FACE}" * 1000, "x"),
        lambda n: NewEntry("t", "x", alternates=tuple(f"{n}/{i}" + "a" * 4000 for i in range(50))),
        lambda n: NewEntry("t", "x", alternates=tuple(f"{n}/{i}" for i in range(100))),
        lambda n: NewEntry("t", "x", id=f"{n}" + "i" * 120),
    ],
    ids=["data", "topics", "long topics", "long alternates", "alternates", "ids"],
)
def test_a_full_journal_takes_as_much_as_it_says(entry: Callable[[int], NewEntry]) -> None:
    """300 updates of 170 topics of 4 kB took 200 MB of a journal of 8 MB."""

    def fill() -> MemoryJournal:
        journal = MemoryJournal(BOUND)
        count = 0
        while len(journal._window) == count:  # until the first entry goes
            journal.append_now(entry(count))
            count += 1
        for more in range(count, 2 * count):
            journal.append_now(entry(more))
        return journal

    size, journal = traced(fill)
    assert 0.3 * BOUND < size < 1.5 * BOUND
    assert len(journal._window) > 1


@pytest.mark.parametrize(
    "bounds",
    [TopicBounds(max_entries=2), TopicBounds(max_bytes=5000, max_age=3600)],
    ids=["count", "bytes and age"],
)
@pytest.mark.parametrize("topics", [1, 40, 10**9])
def test_topics_with_bounds_of_their_own_are_counted(bounds: TopicBounds, topics: int) -> None:
    """Their index, the topics that lost entries, and the own ids of these."""

    def fill() -> MemoryJournal:
        journal = MemoryJournal(BOUND, of_topic=lambda topic: bounds)
        for n in range(6_000):
            journal.append_now(NewEntry(f"topic/{n % topics}", "x", id=f"own-{n}"))
        return journal

    size, _ = traced(fill)
    assert size < 1.5 * BOUND


def test_recent_entries_of_a_process_take_as_much_as_it_says() -> None:
    """The window of a broadcast, beside a journal in Redis."""

    def fill() -> Window:
        window = Window(Cursor("e", 0), BOUND)
        for n in range(1, 400):
            new = NewEntry("t", "x" * 10_000, alternates=(f"{n}" + "a" * 4000,))
            window.add(Entry.from_new(new, Cursor("e", n), time.time()))
        return window

    size, window = traced(fill)
    assert 0.3 * BOUND < size < 1.5 * BOUND
    assert len(window) > 1


async def test_idempotency_keys_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each took 540 bytes, for an hour. One that was forgotten early would be a silent repeat."""
    monkeypatch.setattr(memory, "LEAST_KEYS", 10 * KEY_OVERHEAD)
    journal = MemoryJournal(max_bytes=1)
    for n in range(10):
        await journal.append([NewEntry("t", "x", key=f"{n}")])
    with pytest.raises(Unavailable, match="idempotency keys"):
        await journal.append([NewEntry("t", "x"), NewEntry("t", "x", key="10")])
    assert journal._window.head.sequence == 10, "of a batch that is refused, nothing is appended"
    (receipt,) = await journal.append([NewEntry("t", "x")])
    assert receipt.outcome == "appended"


def test_a_key_takes_as_much_as_is_counted() -> None:
    async def fill() -> MemoryJournal:
        journal = MemoryJournal(max_bytes=1)
        for n in range(5_000):
            await journal.append([NewEntry("t", "x", key=f"key number {n}")])
        return journal

    def run() -> MemoryJournal:
        try:
            fill().send(None)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        raise AssertionError

    size, journal = traced(run)
    assert size < 5_000 * KEY_OVERHEAD * 1.1
    assert journal._keys.bytes == 5_000 * KEY_OVERHEAD


def test_keys_that_are_too_old_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("eddyline.journal.keys.time.time", lambda: now)
    keys = Keys("e", 60, 2 * KEY_OVERHEAD)
    new = NewEntry("t", "x", key="a")
    for n in range(10):
        keys.make_room([new])
        keys.add(NewEntry("t", "x", key=f"{n}", id="own"[: n % 4]), Receipt(Cursor("e", n), ""))
        now += 61
    assert len(keys) == 1
    keys.make_room([])
    assert (len(keys), keys.bytes) == (0, 0)
