"""The viewer in Chromium, on a log of the test's own that rotates; its connection is cut."""

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from eddyline.testing import FaultProxy

pytestmark = pytest.mark.xdist_group("browser")


def append(log: Path, *lines: str) -> None:
    with log.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


async def test_the_viewer_shows_each_line_once_through_cuts_and_rotations(
    readme, tool, page: Page, tmp_path: Path
):
    tool("curl")
    log = tmp_path / "mine.log"
    append(log, *(f"INFO {n}" for n in range(300)))
    example = readme("log_viewer", LOGS_SOURCES=f"app.log={log}")
    suite, pages, curl = example.terminals
    suite.start()
    pages.start()
    await example.listens(8000, suite)
    await example.listens(8080, pages)
    shown = page.locator("#lines div:visible")
    wanted = [f"INFO {n}" for n in range(100, 300)]

    async with FaultProxy(example.port(8000)) as proxy:
        await page.goto(f"{example.url(8080)}/?suite={proxy.url}")
        await expect(shown).to_have_text(wanted)
        for n in range(300, 304):
            append(log, f"INFO {n}")
            proxy.cut()
            append(log, f"ERROR {n}")
            wanted += [f"INFO {n}", f"ERROR {n}"]
        await expect(shown).to_have_text(wanted)
        await expect(page.locator("#lines .ERROR")).to_have_count(4)

        log.rename(tmp_path / "mine.log.1")
        append(log, "INFO of the next file")
        wanted += ["— rotated —", "INFO of the next file"]
        await expect(shown).to_have_text(wanted)

        await page.click("#pause")
        curl.start()
        append(log, "ERROR while paused")
        await curl.says("ERROR while paused")
        await expect(shown).to_have_text(wanted)
        await page.click("#pause")
        await expect(shown).to_have_text([*wanted, "ERROR while paused"])
        await page.fill("#filter", "while")
        await expect(shown).to_have_text(["ERROR while paused"])
