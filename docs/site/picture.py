#!/usr/bin/env python3
"""Remakes docs/start-page.webp, the picture of the suite at work, of a suite that runs.

`make run`, then `.venv/bin/python docs/site/picture.py http://127.0.0.1:8000`. It needs Chromium
(`apt-get install chromium`).
"""

import base64
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, expect, sync_playwright

PICTURE = Path(__file__).parents[1] / "start-page.webp"

#: Milliseconds.
PATIENCE = 60_000

_SIZE = {"width": 1280, "height": 730}


def take(browser: Browser, suite: str, picture: Path) -> None:
    """Events and log lines come, an answer is there, and a million rows were read."""
    page = browser.new_page(viewport=_SIZE, color_scheme="light")  # type: ignore[arg-type]
    page.goto(suite)
    page.get_by_role("button", name="Send").click()
    page.get_by_role("button", name="Read all").click()
    for name, text in (("count", "1,000,000"), ("answer", "."), ("events", "count")):
        expect(page.locator(f"#{name}")).to_contain_text(text, timeout=PATIENCE)
    expect(page.locator("#events div").nth(3)).to_be_visible(timeout=PATIENCE)
    made = page.context.new_cdp_session(page).send(
        "Page.captureScreenshot", {"format": "webp", "quality": 70}
    )
    picture.write_bytes(base64.b64decode(made["data"]))
    page.close()


def main(suite: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        take(browser, suite, PICTURE)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
