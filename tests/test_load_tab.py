"""A load test in Locust's web UI, in Chromium: started, watched, stopped, and kept in files.

With LOAD_TAB_PICTURE=docs/load-tab.png it runs longer, and leaves a picture of the tab there.
"""

import csv
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from eddyline.testing import free_port, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser"), pytest.mark.timeout(240)]

PICTURE = os.environ.get("LOAD_TAB_PICTURE")

#: Milliseconds.
PATIENCE = 30_000

STATE = "eddyline-streams [role=status]"

#: The first words of rows that are not of one kind of stream, or one histogram.
HEADS = ("Kind", "all", "Of")


@pytest.fixture
def locust(environment: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """The URL of a web UI that waits for somebody to start the run."""
    url = f"http://127.0.0.1:{free_port()}"
    log = tmp_path / "locust"
    arguments = ["--web-host", "127.0.0.1", "--web-port", url.rpartition(":")[2]]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "loadtests", *arguments],
            env=environment,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(lambda: answers(url) or process.poll() is not None, PATIENCE / 1000)
        assert process.poll() is None, f"no web UI:\n{log.read_text()}"
        yield url
    finally:
        process.terminate()
        process.wait(30)


def answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(url, timeout=5):
        return True
    return False


def table(page: Page, heading: str) -> dict[str, list[str]]:
    """Its rows, by their first words."""
    section = page.locator(
        "eddyline-streams section", has=page.get_by_role("heading", name=heading)
    )
    cells: list[list[str]] = section.locator("tr").evaluate_all(
        "rows => rows.map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    return {row[0]: row[1:] for row in cells}


def test_a_run_is_started_watched_stopped_and_kept(
    chromium: Browser, launch: Any, locust: str, tmp_path: Path
) -> None:
    page = chromium.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")
    page.set_default_timeout(PATIENCE)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    with launch("eddyline_standalone") as suite:
        page.goto(locust + "/?tab=streams")
        start(page, suite.url)
        watch(page)
        looks(page)
        if PICTURE:
            page.wait_for_timeout(30_000)  # sleep: a picture shows half a minute
            page.screenshot(path=PICTURE, full_page=True)
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_text("STOPPED")).to_be_visible(timeout=PATIENCE)
    stopped(page, locust)
    keep(page, chromium, tmp_path)
    assert complaints == []
    assert all(url.startswith((locust, "data:", "blob:")) for url in requested)
    page.close()


def start(page: Page, suite: str) -> None:
    """Every knob is in the form, with words that describe it."""
    page.get_by_text("Custom parameters").click()
    knobs = page.evaluate("window.templateArgs.extra_options")
    assert list(knobs)[:2] == ["publishers", "subscribers"]  # as in knobs.py
    for name, knob in knobs.items():
        first, *rest = name.split("_")
        field = first + "".join(word.capitalize() for word in rest)
        expect(page.locator(f"[name={field}]")).to_be_attached()
        assert knob["help_text"], name
        expect(page.get_by_text(knob["help_text"]).first).to_be_visible()
    page.fill("[name=userCount]", "60" if PICTURE else "20")
    page.fill("[name=spawnRate]", "5" if PICTURE else "20")
    page.fill("[name=host]", suite)
    page.fill("[name=publishRate]", "4.5")
    page.get_by_role("button", name="Start", exact=True).click()


def watch(page: Page) -> None:
    """The figures of the tab move, and are those of the endpoint."""

    def received() -> int:
        return int(table(page, "By kind of stream")["events"][1].replace(",", ""))

    expect(page.locator(STATE)).to_contain_text("so far", timeout=PATIENCE)
    page.wait_for_function("document.querySelectorAll('eddyline-streams svg .line').length >= 9")
    expect(page.locator("figure", has_text="Events a second").locator("b")).not_to_have_text(
        "0", timeout=PATIENCE
    )
    before = received()
    wait_until(lambda: received() > before, PATIENCE / 1000)
    plot = page.get_by_role("img", name=re.compile("Event latency: p99 .*, p50"))
    when = page.locator("figure", has=plot).locator("small")
    expect(when).not_to_have_text(re.compile("0:0[0-4]"), timeout=PATIENCE)
    plot.hover(position={"x": 60, "y": 50})
    expect(when).to_have_text(re.compile("0:0[0-1]"))
    page.mouse.move(0, 0)
    page.get_by_text("The plots as a table").click()
    expect(page.locator("details tbody tr").nth(4)).to_be_visible()
    page.get_by_text("The plots as a table").click()


def looks(page: Page) -> None:
    """It follows Locust's own switch from light to dark, and fits on a phone."""
    tab = page.locator("eddyline-streams")
    expect(tab).to_have_css("color-scheme", "light")
    page.locator("header button:has(svg)").last.click()
    expect(tab).to_have_css("color-scheme", "dark", timeout=PATIENCE)
    page.locator("header button:has(svg)").last.click()
    expect(tab).to_have_css("color-scheme", "light", timeout=PATIENCE)
    size = page.viewport_size
    assert size
    page.set_viewport_size({"width": 390, "height": 800})
    expect(page.locator("figure svg").first).to_have_css("width", re.compile("^[23]"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size(size)


def stopped(page: Page, locust: str) -> None:
    """Nothing moves any more: the figures shown must be those of the endpoint."""
    expect(page.locator(STATE)).not_to_contain_text("so far", timeout=PATIENCE)

    def snapshot() -> list[Any]:
        return told(page.request.get(locust + "/streams/snapshot").json())

    with suppress(TimeoutError):
        wait_until(lambda: shown(page) == snapshot(), PATIENCE / 1000)
    assert shown(page) == snapshot()


def shown(page: Page) -> list[Any]:
    kinds = table(page, "By kind of stream")
    return [
        page.locator(STATE).inner_text().split()[0],
        page.locator("eddyline-streams .verdict li").all_text_contents(),
        {kind: [*cells[:2], *cells[3:]] for kind, cells in kinds.items() if kind not in HEADS},
        {name: cells[0] for name, cells in table(page, "Times").items() if name not in HEADS},
    ]


def told(snapshot: Any) -> list[Any]:
    kinds, times = snapshot["kinds"], snapshot["histograms"]
    return [
        "Red:" if snapshot["verdict"] else "Green:",
        snapshot["verdict"],
        {
            kind: [f"{count:,}" for name, count in counters.items() if name != "bytes"]
            for kind, counters in kinds.items()
        },
        {name: f"{histogram['count']:,}" for name, histogram in times.items()},
    ]


def keep(page: Page, chromium: Browser, tmp_path: Path) -> None:
    def download(name: str) -> Path:
        with page.expect_download() as begun:
            page.get_by_role("link", name=name).click()
        path = tmp_path / begun.value.suggested_filename
        begun.value.save_as(path)
        return path

    def rows(name: str) -> list[dict[str, str]]:
        return list(csv.DictReader(download(name).read_text().splitlines()))

    kinds, times = table(page, "By kind of stream"), table(page, "Times")
    for row in rows("Counters CSV"):
        assert f"{int(row['received']):,}" == kinds[row["kind"]][1]
    assert {row["histogram"] for row in rows("Histograms CSV")} == set(times) - set(HEADS)
    series = rows("Series CSV")
    assert sum(float(row["events"]) for row in series) == int(kinds["events"][1].replace(",", ""))

    report = chromium.new_page()
    asked: list[str] = []
    report.on("request", lambda request: asked.append(request.url))
    path = download("HTML report")
    report.goto(path.as_uri())
    assert (table(report, "By kind of stream"), table(report, "Times")) == (kinds, times)
    expect(report.locator("dl")).to_contain_text("publish rate4.5")
    expect(report.locator("svg .line")).to_have_count(page.locator("svg .line").count())
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
    report.close()
