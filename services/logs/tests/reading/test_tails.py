"""One tail for each source, and no more than allowed."""

import os
from pathlib import Path

import pytest

from eddyline.errors import Overloaded
from eddyline.journal.memory import MemoryJournal
from eddyline.testing import eventually
from eddyline_logs.reading import tails as module
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


async def test_tails_without_readers_and_files_make_room(tmp_path: Path) -> None:
    sources = Sources.parse(str(tmp_path))
    for name in ("a", "b", "c"):
        (tmp_path / name).touch()
    a, b, c = map(sources.find, ("a", "b", "c"))
    tails = Tails(MemoryJournal(), LogsSettings(tails=2))
    async with tails.run():
        first, second = await tails.get(a), await tails.get(b)
        tails.count("b", 1)
        await tails.get(c)
        assert await tails.get(b) is second
        assert await tails.get(a) is not first
        tails.count("a", 1)
        with pytest.raises(Overloaded, match="LOGS_TAILS"):
            await tails.get(c)
        tails.count("b", -1)
        await tails.get(sources.find("missing"))
        tails.count("missing", 1)
        await tails.get(c)  # a missing file takes up no room


async def test_a_deleted_file_is_closed_once_it_has_no_readers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRACE", 0.05)
    path = tmp_path / "a"
    path.touch()
    source = Sources.parse(str(tmp_path)).find("a")
    tails = Tails(MemoryJournal(), LogsSettings())
    async with tails.run():
        before = len(os.listdir("/proc/self/fd"))
        first = await tails.get(source)
        tails.count("a", 1)
        path.unlink()
        await eventually(lambda: first.state == "waiting")
        assert len(os.listdir("/proc/self/fd")) == before + 1
        tails.count("a", -1)
        await eventually(lambda: len(os.listdir("/proc/self/fd")) == before)
        assert await tails.get(source) is not first
