"""The contract that any journal must keep, and the memory journal's own."""

import secrets
import time
from unittest.mock import patch

from eddyline.journal.backends import backend_from_url
from eddyline.journal.base import Bounds, NewEntry
from eddyline.journal.cursor import Cursor
from eddyline.journal.memory import MemoryJournal
from eddyline.journal.window import ENTRY_OVERHEAD
from eddyline.testing.journal_contract import *  # noqa: F403
from eddyline.testing.journal_contract import append, head
from eddyline.testing.wait import eventually


async def test_an_idempotency_key_is_forgotten_in_time(backend_url: str) -> None:
    backend = backend_from_url(backend_url, secrets.token_hex(8), Bounds(key_age=1.0))

    async def outcome() -> str:
        return (await backend.journal.append([NewEntry("t", "x", key="k")]))[0].outcome

    async def appended() -> bool:
        return await outcome() == "appended"

    async with backend.run():
        assert [await outcome() for _ in range(2)] == ["appended", "repeated"]
        await eventually(appended)


async def test_memory_is_bounded_by_bytes():
    frame = ENTRY_OVERHEAD + 1000
    journal = MemoryJournal(max_bytes=10 * frame)
    entries = [await append(journal, "t", "x" * 960) for _ in range(100)]
    page = await journal.read(None, 1000)
    assert 5 <= len(page.entries) <= 10
    assert page.entries == entries[-len(page.entries) :]
    trimmed = await journal.read(entries[0].cursor, 1000)
    assert trimmed.lost == ("t",)
    assert trimmed.oldest == page.oldest
    assert (await journal.read(entries[-len(page.entries) - 2].cursor, 1000)).lost == ("t",)
    # The cursor right before the oldest entry has missed nothing.
    assert (await journal.read(entries[-len(page.entries) - 1].cursor, 1000)).lost == ()


async def test_the_newest_entry_is_kept_however_large():
    journal = MemoryJournal(max_bytes=100)
    entry = await append(journal, "t", "x" * 1000)
    assert (await journal.read(None, 10)).entries == [entry]


async def test_memory_is_bounded_by_age():
    journal = MemoryJournal(max_age=60)
    with patch("eddyline.journal.memory.time.time", return_value=time.time() - 61):
        old = await append(journal, "t", "old", id="own")
    young = await append(journal, "t", "young")
    assert (await journal.read(None, 10)).entries == [young]
    assert (await journal.read(Cursor(old.cursor.epoch, 0), 10)).lost == ("t",)
    assert await journal.locate("own") is None


async def test_two_lives_of_a_journal_have_two_epochs():
    assert (await head(MemoryJournal())).epoch != (await head(MemoryJournal())).epoch
