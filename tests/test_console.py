"""The console in Chromium: every page at two widths, light and dark; and the proof, disturbed."""

import hashlib
import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.xdist_group("browser")

ROOT = Path(__file__).parents[1]
CONSOLE = ROOT / "services/standalone/eddyline_standalone/console"

#: Milliseconds.
PATIENCE = 30_000

PAGES = ("overview", "proof", "topics", "topics?topic=demo", "subscribers")


@pytest.fixture(scope="module")
def suite(launch: Any) -> Iterator[Any]:
    with launch("eddyline_standalone") as served:
        yield served


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    opened = chromium.new_page()
    opened.set_default_timeout(PATIENCE)
    yield opened
    opened.close()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_and_complains_of_nothing(
    chromium: Browser, suite: Any, width: int, scheme: Any, tmp_path: Path
) -> None:
    context = chromium.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for name in PAGES:
        page.goto(f"{suite.url}/console#{name}")
        page.wait_for_selector("main h2")
        expect(page.locator("nav a[aria-current=page]")).to_have_text(name.split("?")[0].title())
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{name} is {wide} px wider than the window"
        faults = [fault for fault in Axe().run(page).response["violations"] if is_serious(fault)]
        assert faults == [], name
        page.screenshot(path=tmp_path / f"{name.split('?')[0]}-{width}-{scheme}.png")
    assert complaints == []
    assert all(url.startswith((suite.url, "data:")) for url in asked)
    context.close()


def is_serious(fault: dict[str, Any]) -> bool:
    return fault["impact"] in ("serious", "critical")


def test_the_overview_tells_the_state(page: Page, suite: Any) -> None:
    page.goto(f"{suite.url}/console")
    expect(page.locator("#ready")).to_have_text("ready", timeout=PATIENCE)
    expect(page.locator("td >> text=events").first).to_be_visible()
    page.goto(f"{suite.url}/")
    page.click("nav >> text=Console")
    page.wait_for_url(re.compile("/console"))


def test_nothing_is_lost_while_the_way_is_disturbed(page: Page, suite: Any) -> None:
    page.goto(f"{suite.url}/console#proof")
    page.select_option("#rate", "200")
    expect(page.locator("#came")).to_have_text(re.compile("[0-9]{3,}"), timeout=PATIENCE)
    for reconnects in (1, 2, 3):
        page.click("#cut")
        expect(page.locator("#reconnects")).to_have_text(str(reconnects), timeout=PATIENCE)
    page.click("#slow")
    expect(page.locator("#slow")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#behind")).to_have_text(re.compile("[0-9]{2,}"), timeout=PATIENCE)
    page.click("#slow")
    page.select_option("#rate", "1")
    expect(page.locator("#behind")).to_have_text(re.compile("^[0-3]$"), timeout=PATIENCE)
    for name in ("lost", "twice", "resets"):
        expect(page.locator(f"#{name}")).to_have_text("0")
    assert int(page.inner_text("#came")) >= 300


def test_the_proof_counts_what_is_lost_or_twice(page: Page, suite: Any) -> None:
    """The counters themselves: a page that could never show a fault would prove nothing."""
    page.goto(f"{suite.url}/docs")
    counted = page.evaluate("""async () => {
        const { Numbers } = await import('/console/pages/proof.js');
        const numbers = new Numbers();
        const seen = [];
        for (const n of [0, 1, 1, 4, 2, 4, 0]) {
            numbers.take(n);
            seen.push([numbers.came, numbers.lost, numbers.twice, numbers.whole]);
        }
        return seen;
    }""")
    assert counted == [
        [1, 0, 0, 1],
        [2, 0, 0, 2],
        [3, 0, 1, 2],
        [4, 2, 1, 2],
        [5, 1, 1, 3],
        [6, 1, 2, 3],
        [7, 1, 3, 3],
    ]


def test_a_topic_is_read_replayed_and_published_to(page: Page, suite: Any) -> None:
    page.goto(f"{suite.url}/console#topics?topic=console/1")
    for data in ('{"n": 1}', "two <b>"):
        page.fill("[aria-label^=Data]", data)
        page.click("text=Publish")
        expect(page.locator("#events")).to_contain_text(
            data.replace(" ", "", 1) if "{" in data else data
        )
    page.click("#events tbody tr:last-child a")
    expect(page.locator("#events tbody tr")).to_have_count(1)
    expect(page.locator("#events")).to_contain_text("two <b>")
    for name, text in (("Python", "client.subscribe"), ("shell", "eddyline sub"), ("curl", "curl")):
        page.click(f"button:text-is('{name}')")
        expect(page.locator("pre")).to_contain_text(text)
    page.goto(f"{suite.url}/console#topics")
    expect(page.locator("main table")).to_contain_text("console/1")


def test_a_subscriber_is_shown_and_kicked(page: Page, suite: Any) -> None:
    stream = urllib.request.urlopen(f"{suite.url}/events?topic=kick-me", timeout=60)
    page.goto(f"{suite.url}/console#subscribers")
    row = page.locator("#subscribers tr:has-text('kick-me')")
    row.locator("button").click()
    row.locator("text=Sure?").click()
    expect(page.locator("[role=status]")).to_contain_text("was kicked")
    stream.read()  # it ends
    expect(row).to_have_count(0, timeout=PATIENCE)


def test_with_a_key_it_asks_for_a_token_and_keeps_it_in_memory(page: Page, launch: Any) -> None:
    with launch("eddyline_standalone", EDDYLINE_AUTH_KEY="k" * 32) as guarded:
        [token] = re.findall(r"EDDYLINE_TOKEN=(\S+)", guarded.output())
        page.goto(f"{guarded.url}/console#topics?topic=demo")
        page.fill("#token", token)
        page.click(".access button")
        expect(page.locator("#events")).to_contain_text("Event ")
        expect(page.locator("#token")).to_have_count(0)
        assert page.context.storage_state()["origins"] == []
        page.reload()
        page.wait_for_selector("#token")


@pytest.mark.slow
def test_a_thousand_events_a_second_block_the_page_for_no_tenth_of_one(
    chromium: Browser, suite: Any
) -> None:
    context = chromium.new_context(bypass_csp=True)
    page = context.new_page()
    page.goto(f"{suite.url}/console#topics?topic=fast")
    page.wait_for_selector("#events")
    page.evaluate("""() => {
        window.longest = 0;
        new PerformanceObserver((list) => {
            for (const { duration } of list.getEntries()) longest = Math.max(longest, duration);
        }).observe({ type: 'longtask' });
    }""")
    for start in range(0, 10_000, 100):
        events = [{"topic": "fast", "data": {"n": n}} for n in range(start, start + 100)]
        publish(suite.url, events)
        page.wait_for_timeout(100)  # sleep: the pace of a thousand events a second
    expect(page.locator("#events")).to_contain_text('{"n":9999}', timeout=PATIENCE)
    assert page.evaluate("longest") < 100
    context.close()


def publish(url: str, events: Any) -> None:
    body = json.dumps(events).encode()
    headers = {"Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(f"{url}/events", body, headers)).close()


def test_the_library_of_others_is_as_it_was_released() -> None:
    """htm 3.1.1 of npm, its preact/standalone.module.js: Apache-2.0, with Preact, MIT."""
    released = "72284e8e9079c87817145df1110f74e8a2aa040b2fc384922e18dfcb46fc1fd7"
    found = hashlib.sha256((CONSOLE / "vendor/htm-preact.js").read_bytes()).hexdigest()
    assert found == released
    assert "Apache License" in (CONSOLE / "vendor/htm.LICENSE").read_text()
    assert "MIT" in (CONSOLE / "vendor/preact.LICENSE").read_text()


def test_files_outside_of_it_are_not_served(suite: Any) -> None:
    for name in ("../page.html", "%2e%2e/page.html", "vendor/htm.LICENSE", "none.js"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{suite.url}/console/{name}")
        assert refused.value.code == 404
        refused.value.close()
