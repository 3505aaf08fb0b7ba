"""The demo log writes lines and rotates."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from eddyline.testing import eventually
from eddyline_logs import demo


async def test_lines_are_written_until_it_is_cancelled(tmp_path: Path) -> None:
    path = tmp_path / "new" / "app.log"
    async with demo.demo_log(path, 0.001):
        await eventually(lambda: path.exists() and path.read_text().count("\n") >= 5)
    assert all(line.split()[1].isupper() for line in path.read_text().splitlines())


async def test_of_several_one_writes_and_another_when_it_is_gone(tmp_path: Path) -> None:
    one, other = tmp_path / "one.log", tmp_path / "other.log"
    async with AsyncExitStack() as first:
        await first.enter_async_context(demo.demo_log(one, 0.001))
        await eventually(lambda: one.stat().st_size)
        async with demo.demo_log(other, 0.001):
            seen = one.stat().st_size
            await eventually(lambda: one.stat().st_size > seen + 1000)
            assert other.stat().st_size == 0
            await first.aclose()
            await eventually(lambda: other.stat().st_size)


async def test_where_it_cannot_be_written_nothing_starts(tmp_path: Path) -> None:
    (tmp_path / "app.log").mkdir()
    with pytest.raises(IsADirectoryError):
        async with demo.demo_log(tmp_path / "app.log"):
            pass


def test_it_rotates_by_rename(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    for text in ("one", "two", "three"):
        demo.append(path, text, rotate_at=8)
    assert path.read_text() == "three\n"
    assert (tmp_path / "app.log.1").read_text() == "one\ntwo\n"
