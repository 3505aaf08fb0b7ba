"""The demo log writes lines and rotates."""

import asyncio
from contextlib import suppress
from pathlib import Path

from logs import demo
from streaming.testing import eventually


async def test_lines_are_written_until_it_is_cancelled(tmp_path: Path) -> None:
    path = tmp_path / "new" / "app.log"
    task = asyncio.create_task(demo.write_demo_log(path, 0.001))
    await eventually(lambda: path.exists() and path.read_text().count("\n") >= 5)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert all(line.split()[1].isupper() for line in path.read_text().splitlines())


def test_it_rotates_by_rename(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    for text in ("one", "two", "three"):
        demo.append(path, text, rotate_at=8)
    assert path.read_text() == "three\n"
    assert (tmp_path / "app.log.1").read_text() == "one\ntwo\n"
