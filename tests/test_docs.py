"""`/docs` in Chromium, which reaches nothing but the server: operations are there to be tried."""

import json
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from eddyline.service.registry import registrations

pytestmark = pytest.mark.xdist_group("browser: docs")

#: Milliseconds.
PATIENCE = 30_000

RUN = {name: ("eddyline_standalone.serve", name) for name in registrations()}
RUN["standalone"] = ("eddyline_standalone",)


@pytest.fixture
def complaints() -> list[str]:
    return []


@pytest.fixture
def page(chromium: Browser, complaints: list[str]) -> Iterator[Page]:
    """Writes down each message in the console, and each request that would leave the machine."""
    page = chromium.new_page()
    page.set_default_timeout(PATIENCE)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))

    def stay(route: Route) -> None:
        if urlsplit(route.request.url).hostname == "127.0.0.1":
            return route.continue_()
        complaints.append(f"asks for {route.request.url}")
        route.abort()

    page.route("**/*", stay)
    yield page
    page.close()


def operations(url: str) -> set[str]:
    with urllib.request.urlopen(url + "/openapi.json", timeout=10) as answer:
        paths = json.load(answer)["paths"]
    return {f"{method.upper()} {path}" for path, item in paths.items() for method in item}


# The suite's page has the operations of all services; `make test-slow` looks at the page of each.
@pytest.mark.parametrize(
    "name",
    [name if name == "standalone" else pytest.param(name, marks=pytest.mark.slow) for name in RUN],
)
def test_every_operation_is_shown_without_another_server(
    name: str, page: Page, launch: Any, complaints: list[str]
) -> None:
    with launch(*RUN[name]) as served:
        page.goto(served.url + "/docs")
        shown = page.locator(".opblock-summary")
        wanted = operations(served.url)
        expect(shown).to_have_count(len(wanted), timeout=PATIENCE)
        texts = [
            f"{one.locator('.opblock-summary-method').inner_text()}"
            f" {one.locator('.opblock-summary-path').get_attribute('data-path')}"
            for one in shown.all()
        ]
        assert set(texts) == wanted

        # An operation that every service has is tried out, as a reader would do it.
        tried = page.locator(".opblock", has=page.locator("[data-path='/livez']"))
        tried.locator(".opblock-summary-control").click()
        tried.get_by_role("button", name="Try it out").click()
        tried.get_by_role("button", name="Execute").click()
        answer = tried.locator(".live-responses-table .response")
        expect(answer).to_contain_text('"status": "alive"', timeout=PATIENCE)
        assert complaints == []
