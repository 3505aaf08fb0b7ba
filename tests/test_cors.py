"""A page of another origin reads every service, in Chromium; an unlisted one reads none."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from eddyline.testing import PATIENCE

pytestmark = pytest.mark.xdist_group("browser")

#: The first event of a stream, parsed, and which id a client would resume from.
FIRST_EVENT = """(url) => new Promise((resolve, reject) => {
    const source = new EventSource(url);
    const done = (what) => { source.close(); what(); };
    source.onmessage = (event) => done(() => resolve([JSON.parse(event.data), event.lastEventId]));
    source.onerror = () => done(() => reject(new Error('the browser may not read ' + url)));
})"""

#: Status, some headers and the first bytes of an answer.
FETCH = """async ([url, options, names]) => {
    const answer = await fetch(url, options);
    const reader = answer.body.getReader();
    const { value } = await reader.read();
    await reader.cancel();
    const headers = names.map((name) => answer.headers.get(name));
    return [answer.status, headers, new TextDecoder().decode(value)];
}"""


class EmptyPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def other_origin() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def suite(launch: Any, other_origin: str) -> Iterator[Any]:
    with launch("eddyline_standalone", EDDYLINE_CORS_ORIGINS=other_origin) as served:
        yield served


@pytest.fixture
def page(chromium: Browser, other_origin: str) -> Iterator[Page]:
    page = chromium.new_page()
    page.goto(other_origin)
    yield page
    page.close()


def fetched(
    page: Page, url: str, options: dict[str, Any], *names: str
) -> tuple[int, list[str | None], str]:
    status, headers, text = page.evaluate(FETCH, [url, options, names])
    return status, headers, text


def test_events_are_read_and_published(page: Page, suite: Any) -> None:
    data, id = page.evaluate(FIRST_EVENT, suite.url + "/events")
    assert data["message"].startswith("Event ")
    assert id
    options = {
        "method": "POST",
        "headers": {"Content-Type": "application/json", "Idempotency-Key": "k"},
        "body": '{"topic": "a", "data": 1}',
    }
    [first, again] = [
        fetched(page, suite.url + "/events", options, "Idempotent-Replayed") for _ in range(2)
    ]
    assert (first[0], first[1], again[1]) == (201, [None], ["true"])
    assert first[2] == again[2]


def test_logs_are_followed(page: Page, suite: Any) -> None:
    data, _ = page.evaluate(FIRST_EVENT, suite.url + "/logs/app.log")
    assert data["source"] == "app.log"


def test_a_chat_is_answered(page: Page, suite: Any) -> None:
    options = {
        "method": "POST",
        "headers": {"Content-Type": "application/json"},
        "body": '{"message": "Hello"}',
    }
    status, [upstream], text = fetched(page, suite.url + "/chat/stream", options, "X-Chat-Upstream")
    assert (status, upstream) == (200, "demo (simulated)")
    assert text.startswith('data: {"token":')


def test_a_download_is_resumed_with_its_headers_in_sight(page: Page, suite: Any) -> None:
    url = suite.url + "/download/users.csv"
    names = ("ETag", "Content-Range", "Accept-Ranges", "Content-Disposition")
    etag = "W/"
    deadline = time.monotonic() + PATIENCE
    # Two seconds after its last write a file has a strong tag.
    while str(etag).startswith("W/") and time.monotonic() < deadline:
        _, [etag, *_], text = fetched(page, url, {}, *names)
    options = {"headers": {"Range": "bytes=2-4", "If-Range": etag}}
    status, [same, of, unit, disposition], part = fetched(page, url, options, *names)
    assert (status, same, unit) == (206, etag, "bytes")
    assert str(of).startswith("bytes 2-4/")
    assert disposition == 'attachment; filename="users.csv"'
    assert part == text[2:5]


def test_records_are_read_and_a_refusal_is_explained(page: Page, suite: Any) -> None:
    status, _, text = fetched(page, suite.url + "/users/stream", {})
    assert (status, text[:6]) == (200, '{"id":')
    status, [id], problem = fetched(page, suite.url + "/records/none", {}, "X-Request-ID")
    assert status == 404
    assert f"urn:request:{id}" in problem


@pytest.mark.parametrize("path", ["/files", "/events/topics", "/logs", "/records", "/livez"])
def test_a_page_that_is_not_listed_reads_nothing(
    chromium: Browser, other_origin: str, suite: Any, path: str
) -> None:
    page = chromium.new_page()
    page.goto(other_origin.replace("127.0.0.1", "localhost"))
    refused = page.evaluate(
        "(url) => fetch(url).then(() => 'read', (error) => error.name)", suite.url + path
    )
    assert refused == "TypeError"
    page.close()
