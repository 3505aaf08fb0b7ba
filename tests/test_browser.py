"""A browser's own EventSource and fetch, in Chromium, as the lesson's front end uses them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.xdist_group("browser")

#: Milliseconds.
PATIENCE = 30_000

#: The lesson's front end, with a list in place of the console.
LESSON = """() => {
    window.received = [];
    window.resets = [];
    const eventSource = new EventSource('/events');
    eventSource.onmessage = (event) => {
        const data = JSON.parse(event.data);
        window.received.push(data);
    };
    eventSource.addEventListener('eddyline.reset', (event) => {
        window.resets.push(JSON.parse(event.data).reason);
    });
}"""


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    page = chromium.new_page()
    page.set_default_timeout(PATIENCE)
    yield page
    page.close()


@pytest.fixture(scope="module")
def suite(launch: Any) -> Iterator[Any]:
    with launch("eddyline_standalone") as served:
        yield served


def wait_for_events(page: Page, count: int) -> list[dict[str, Any]]:
    page.wait_for_function("(n) => window.received.length >= n", arg=count)
    received: list[dict[str, Any]] = page.evaluate("window.received")
    return received


def test_the_lessons_event_source_gets_the_lessons_events(page: Page, suite: Any) -> None:
    page.goto(suite.url + "/small")
    page.evaluate(LESSON)
    events = wait_for_events(page, 3)
    first = events[0]["count"]
    for count, event in enumerate(events, first):
        assert event == {"count": count, "message": f"Event {count}"}


def test_an_event_source_resumes_where_the_server_ended_it(page: Page, launch: Any) -> None:
    # Each stream lives for 1.6 to 2 s, and its end tells the browser when to return.
    with launch("eddyline_standalone", EDDYLINE_MAX_AGE="2") as suite:
        page.goto(suite.url + "/small")
        opened: list[str | None] = []
        page.on("request", lambda r: opened.append(r.headers.get("last-event-id")))
        page.evaluate(LESSON)
        counts = [event["count"] for event in wait_for_events(page, 8)]
        assert counts == list(range(counts[0], counts[0] + len(counts)))
        assert len(opened) >= 2
        assert page.evaluate("window.resets") == []


def test_an_event_source_survives_a_restart(page: Page, launch: Any) -> None:
    with launch("eddyline_standalone") as first:
        page.goto(first.url + "/small")
        page.evaluate(LESSON)
        before = len(wait_for_events(page, 2))
        assert first.end() == 0
    # Another process, another journal: the browser is told, and goes on.
    with launch("eddyline_standalone", port=first.port):
        wait_for_events(page, before + 2)
        assert page.evaluate("window.resets") == ["epoch"]


def test_a_browser_publishes_by_fetch(page: Page, suite: Any) -> None:
    page.goto(suite.url + "/small")
    page.evaluate(LESSON)
    wait_for_events(page, 1)
    status = page.evaluate("""async () => (await fetch('/events', {
        method: 'POST', headers: {'Content-Type': 'application/json'},
        body: JSON.stringify({topic: 'greetings', data: {hello: 'browser'}}),
    })).status""")
    assert status == 201
    page.wait_for_function("window.received.some((data) => data.hello === 'browser')")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_start_page_works(chromium: Browser, suite: Any, tmp_path: Path, scheme: Any) -> None:
    page = chromium.new_page(color_scheme=scheme)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(suite.url, wait_until="domcontentloaded")

    page.click("#publish button")
    page.wait_for_selector("#events >> text=Hello, everyone")
    page.wait_for_selector("#events >> text=Event ")
    page.wait_for_selector("#logs div")
    page.click("#chat button")
    # By locators: the page's policy lets no test evaluate text in it either.
    expect(page.locator("#answer")).to_contain_text("about that topic.", timeout=PATIENCE)
    page.click("#read")
    expect(page.locator("#count")).to_have_text("1,000,000", timeout=PATIENCE)
    page.wait_for_selector("#files >> text=10 GiB")
    expect(page.locator("#open")).to_have_text(re.compile("[2-9]"), timeout=PATIENCE)
    with page.expect_download() as download:
        page.click("#files tr:has-text('users.csv') >> text=download")
    assert download.value.suggested_filename == "users.csv"
    commands = page.locator("#commands code").all_inner_texts()
    assert all(command.startswith("curl ") and suite.url in command for command in commands)
    page.screenshot(path=tmp_path / f"{scheme}.png", full_page=True)
    assert complaints == []
    assert all(url.startswith((suite.url, "data:", "blob:")) for url in requested)
    page.close()


def test_with_a_key_the_start_page_asks_for_a_token(chromium: Browser, launch: Any) -> None:
    with launch("eddyline_standalone", EDDYLINE_AUTH_KEY="k" * 32) as suite:
        [token] = re.findall(r"EDDYLINE_TOKEN=(\S+)", suite.output())
        page = chromium.new_page()
        page.goto(suite.url, wait_until="domcontentloaded")
        page.fill("#token", "no token at all")
        page.click("#access button")
        expect(page.locator("#refused")).not_to_be_empty(timeout=PATIENCE)
        page.fill("#token", token)
        page.click("#access button")
        expect(page.locator("#access")).to_be_hidden()
        page.wait_for_selector("#events >> text=Event ")
        page.wait_for_selector("#logs div")
        page.click("#chat button")
        expect(page.locator("#answer")).to_contain_text("about that topic.", timeout=PATIENCE)
        page.click("#read")
        expect(page.locator("#count")).to_have_text("1,000,000", timeout=PATIENCE)
        with page.expect_download() as download:
            page.click("#files tr:has-text('readme.txt') >> text=download")
        assert download.value.suggested_filename == "readme.txt"
        for command in page.locator("#commands code").all_inner_texts():
            assert 'curl -H "Authorization: Bearer $EDDYLINE_TOKEN" ' in command
        page.close()


@pytest.mark.slow
def test_the_start_page_tells_that_events_are_missing(chromium: Browser, launch: Any) -> None:
    with launch("eddyline_standalone") as first:
        page = chromium.new_page()
        page.goto(first.url, wait_until="domcontentloaded")
        page.wait_for_selector("#events >> text=Event ")
        assert first.end() == 0
    with launch("eddyline_standalone", port=first.port):
        page.wait_for_selector("#events .bad >> text=events are missing: epoch")
        expect(page.locator("#events-state")).to_have_text("live", timeout=PATIENCE)
    page.close()
