"""One tail for each source, and no more than allowed."""

import os
from pathlib import Path

import pytest

from eddyline.errors import Overloaded
from eddyline.journal.memory import MemoryJournal
from eddyline_logs.reading.tails import Tails
from eddyline_logs.settings import LogsSettings
from eddyline_logs.sources.registry import Sources


async def test_a_source_has_one_tail(tmp_path: Path) -> None:
    sources = Sources.parse(str(tmp_path))
    tails = Tails(MemoryJournal(), LogsSettings())
    async with tails.run():
        assert await tails.get(sources.find("a")) is await tails.get(sources.find("a"))
        assert await tails.get(sources.find("a")) is not await tails.get(sources.find("b"))


async def test_no_file_stays_open(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    before = len(os.listdir("/proc/self/fd"))
    tails = Tails(MemoryJournal(), LogsSettings())
    async with tails.run():
        # Stopped before its task has had its first turn.
        await tails.get(Sources.parse(str(tmp_path)).find("a"))
    assert len(os.listdir("/proc/self/fd")) == before


async def test_more_than_allowed_are_refused(tmp_path: Path) -> None:
    sources = Sources.parse(str(tmp_path))
    tails = Tails(MemoryJournal(), LogsSettings(tails=2))
    async with tails.run():
        first = await tails.get(sources.find("a"))
        await tails.get(sources.find("b"))
        with pytest.raises(Overloaded, match="LOGS_TAILS"):
            await tails.get(sources.find("c"))
        assert await tails.get(sources.find("a")) is first


async def test_those_whom_nobody_can_miss_make_room(tmp_path: Path) -> None:
    sources = Sources.parse(str(tmp_path))
    brief = LogsSettings(tails=1, max_age=1e-9, journal_age=1e-9)
    tails = Tails(MemoryJournal(), brief)
    async with tails.run():
        first = await tails.get(sources.find("a"))
        await tails.get(sources.find("b"))
        assert await _again(tails, sources) is not first


async def _again(tails: Tails, sources: Sources) -> object:
    return await tails.get(sources.find("a"))
