"""The JavaScript client and the debug page in Chromium, on a hub behind a proxy with faults."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import orjson
import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from eddyline.testing import PATIENCE, FaultProxy, Running, eventually, fetch, running, serving
from eddyline_events.app import create_app
from eddyline_events.settings import EventsSettings

pytestmark = pytest.mark.xdist_group("browser: events")

#: Milliseconds.
QUICK = {"maxDelay": 50}

TIME = re.compile(r"\d\d:\d\d:\d\d\.\d{3}")
CURSOR = re.compile(r"[0-9a-z]+\.\d+")

WATCH = """async ([url, options]) => {
    const { EddylineEventSource } = await import("/events/static/eddyline.js");
    window.log = { data: [], resets: [], errors: [], opens: 0, tokens: 0 };
    if (options.token) options.token = async () => `token-${++log.tokens}`;
    window.source = new EddylineEventSource(url, options);
    source.onopen = () => { log.opens += 1; };
    source.onmessage = (event) => log.data.push(JSON.parse(event.data));
    source.onreset = ({ reason, oldest }) => log.resets.push([reason, oldest]);
    source.onerror = ({ status, message, final }) => log.errors.push([status, message, final]);
}"""


@pytest.fixture
async def chromium(tool: Callable[..., str]) -> AsyncIterator[Browser]:
    path = tool("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    async with async_playwright() as playwright:
        async with await playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox"]
        ) as browser:
            yield browser


class Site:
    """A hub behind a proxy, and pages of the proxy's origin."""

    def __init__(self, browser: Browser, stack: AsyncExitStack) -> None:
        self._browser = browser
        self._stack = stack
        self._context: BrowserContext | None = None
        self.hub: Running
        self.proxy: FaultProxy
        self.published = 0

    async def serve(self, **settings: Any) -> None:
        """A hub, or the next one with another journal."""
        app = create_app(EventsSettings(**{"drain_window": 0.2} | settings))
        self.hub = await self._stack.enter_async_context(running(app))
        if not hasattr(self, "proxy"):
            self.proxy = await self._stack.enter_async_context(FaultProxy(self.hub.port))
        self.proxy.target = self.hub.port

    async def page(self) -> Page:
        """A tab; all are of one browser profile."""
        if self._context is None:
            self._context = await self._browser.new_context()
        page = await self._context.new_page()
        page.set_default_timeout(PATIENCE * 1000)
        await page.goto(self.proxy.url + "/livez")
        await page.evaluate("import('/events/static/eddyline.js').then(() => 0)")
        return page

    async def watch(self, url: str = "/events?topic=t", **options: Any) -> Page:
        page = await self.page()
        await page.evaluate(WATCH, [url, QUICK | options])
        return page

    async def publish(self, count: int = 1) -> None:
        """Numbered events; by one caller at a time."""
        for _ in range(count):
            body = orjson.dumps({"topic": "t", "data": self.published})
            async with await fetch(self.hub.url + "/events", method="POST", body=body) as answer:
                assert answer.status == 201
            self.published += 1

    @property
    def streams(self) -> int:
        return int(self.hub.app.state.context.limits.open)


@pytest.fixture
async def site(chromium: Browser) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        started = Site(chromium, stack)
        await started.serve()
        yield started


async def opened(page: Page, times: int = 1) -> None:
    """With the first bytes: before them there is nothing to resume from."""
    await page.wait_for_function("(n) => log.opens >= n && source.lastEventId", arg=times)


async def has(page: Page, numbers: list[int]) -> None:
    """Exactly these, in this order: nothing lost, nothing twice."""
    if numbers:
        await page.wait_for_function("(n) => log.data.includes(n)", arg=numbers[-1])
    assert await page.evaluate("log.data") == numbers


@asynccontextmanager
async def answering(*heads: str) -> AsyncIterator[tuple[int, list[float]]]:
    """A server that gives these answers, the last one for ever: its port, and when it was asked."""
    asked: list[float] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = heads[min(len(asked), len(heads) - 1)]
        asked.append(time.monotonic())
        writer.write(f"HTTP/1.1 {head}\r\nConnection: close\r\n\r\n".encode())
        writer.close()

    async with serving(answer) as port:
        yield port, asked


async def test_it_survives_refusals_and_waits_as_long_as_it_is_told(site: Site) -> None:
    page = await site.watch()
    await opened(page)
    heads = ["502 Bad Gateway", "429 Too Many Requests\r\nRetry-After: 2", "503 No", "200 OK"]
    async with answering(*heads) as (port, asked):
        site.proxy.target = port
        site.proxy.cut()
        await site.publish(3)
        await eventually(lambda: len(asked) >= 5)
        site.proxy.target = site.hub.port
    assert asked[2] - asked[1] >= 2
    await has(page, [0, 1, 2])
    errors = await page.evaluate("log.errors")
    assert [status for status, _, _ in errors][:5] == [0, 502, 429, 503, 200]
    assert not any(final for _, _, final in errors)
    assert await page.evaluate("[source.readyState, log.resets]") == [1, []]


async def test_a_restart_with_another_journal_is_told(site: Site) -> None:
    page = await site.watch()
    await opened(page)
    await site.publish(2)
    await has(page, [0, 1])
    await site.hub.stop()
    await page.wait_for_function("log.errors.length >= 1")
    await site.serve()
    await opened(page, 2)
    await page.wait_for_function("log.resets.length === 1")
    (reason, oldest) = (await page.evaluate("log.resets"))[0]
    assert reason == "epoch"
    assert oldest.endswith(".0")
    await site.publish(2)
    await has(page, [0, 1, 2, 3])


async def test_a_clean_end_is_a_reconnect(site: Site) -> None:
    # Each stream lives for 0.4 to 0.5 s; the hub says how long to stay away.
    await site.serve(max_age=0.5)
    page = await site.watch()
    await opened(page)

    async def reopened() -> bool:
        await site.publish()
        return bool(await page.evaluate("log.opens") >= 3)

    await eventually(reopened)
    await has(page, list(range(site.published)))
    assert "the server ended the stream" in [m for _, m, _ in await page.evaluate("log.errors")]


async def test_missed_heartbeats_are_noticed(site: Site) -> None:
    await site.serve(heartbeat=0.3)
    # The hub looks for silent streams once a second.
    page = await site.watch(timeout=3000)
    await opened(page)
    # A quiet stream with heartbeats lasts.
    await page.wait_for_timeout(3500)  # sleep: longer than the timeout of the page
    assert await page.evaluate("log.errors") == []
    site.proxy.freeze()
    await site.publish(3)
    await page.wait_for_function("log.errors.length >= 1")
    assert await page.evaluate("log.errors[0]") == [0, "nothing came for 3 s", False]
    site.proxy.thaw()
    await has(page, [0, 1, 2])


async def test_nothing_is_lost_or_twice_wherever_the_connection_is_cut(site: Site) -> None:
    page = await site.watch()
    await opened(page)
    # The head of the answer has about 300 bytes, an event about 30.
    for cut in range(200, 500, 7):
        site.proxy.cut_after = cut
        site.proxy.cut()
        before = await page.evaluate("log.errors.length")
        while await page.evaluate("log.errors.length") < before + 2:
            await site.publish()
    site.proxy.cut_after = None
    site.proxy.cut()
    await site.publish()
    await has(page, list(range(site.published)))
    assert await page.evaluate("log.resets") == []


@pytest.mark.parametrize("status", ["204 No Content", "400 Bad", "401 Who", "403 No", "404 Where"])
async def test_it_stops_where_there_is_no_use(site: Site, status: str) -> None:
    page = await site.page()
    async with answering(status) as (port, asked):
        site.proxy.target = port
        site.proxy.cut()  # those that are kept alive, too
        await page.clock.install()
        await page.evaluate(WATCH, ["/events", QUICK])
        await page.wait_for_function("source.readyState === 2")
        assert await page.evaluate("log.errors.map(([status, , final]) => [status, final])") == [
            [int(status[:3]), True]
        ]
        # Nor in the next minute: the request that comes after it is that of the test.
        await page.clock.fast_forward(60_000)
        await page.evaluate("fetch('/events?fence').catch(() => {})")
        assert len(asked) == 2


async def test_a_problem_is_told_in_the_hubs_words(site: Site) -> None:
    page = await site.watch("/events?topic=" + "x" * 2000)
    await page.wait_for_function("source.readyState === 2")
    assert "must have 1-1024 characters" in (await page.evaluate("log.errors"))[0][1]


async def test_a_token_is_made_for_each_connect(site: Site) -> None:
    page = await site.watch(token=True)
    sent: list[str | None] = []
    page.on("request", lambda request: sent.append(request.headers.get("authorization")))
    await opened(page)
    site.proxy.cut()
    await opened(page, 2)
    assert "Bearer token-2" in sent


async def test_waking_up_ends_the_wait(site: Site) -> None:
    page = await site.watch(maxDelay=3_600_000)
    await opened(page)
    async with answering("503 No") as (port, asked):
        site.proxy.target = port
        site.proxy.cut()
        # The tenth wait would be a matter of minutes.
        for count in range(1, 11):
            await eventually(lambda count=count: len(asked) >= count)
            await page.wait_for_function("(n) => log.errors.length > n", arg=count)
            await page.evaluate("dispatchEvent(new Event('online'))")
    site.proxy.target = site.hub.port
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await page.evaluate("dispatchEvent(new Event('online'))")
    await opened(page, 2)


async def reader_of(pages: list[Page]) -> Page:
    """The tab that holds the lock."""
    held = "navigator.locks.query().then(({ held }) => held[0]?.clientId)"
    own = """async () => {
        const mine = await navigator.locks.request("mine" + Math.random(), async ({ name }) =>
            (await navigator.locks.query()).held.find((lock) => lock.name === name).clientId);
        return (await navigator.locks.query()).held
            .some((lock) => lock.name.startsWith("eddyline ") && lock.clientId === mine);
    }"""
    assert await pages[0].evaluate(held)
    (reader,) = [page for page in pages if await page.evaluate(own)]
    return reader


async def kill(page: Page) -> None:
    """Its process ends in the midst of its work."""
    session = await page.context.new_cdp_session(page)
    crash = asyncio.ensure_future(session.send("Page.crash"))
    await page.wait_for_event("crash")
    crash.cancel()


@pytest.mark.parametrize("end", ["close the tab", "kill its process", "close the source"])
async def test_tabs_share_one_connection_whoever_leaves(site: Site, end: str) -> None:
    pages = [await site.watch(share=True) for _ in range(4)]
    for page in pages:
        await opened(page)
    assert site.streams == 1
    await site.publish(20)
    publishing = asyncio.create_task(site.publish(300))
    for _ in range(2):
        reader = await reader_of(pages)
        pages.remove(reader)
        if end == "close the tab":
            await reader.close()
        elif end == "kill its process":
            await kill(reader)
        else:
            await reader.evaluate("source.close()")
        before = site.published
        await eventually(lambda before=before: site.published >= before + 20 or publishing.done())
    await publishing
    await site.publish()
    for page in pages:
        await has(page, list(range(site.published)))
        assert await page.evaluate("[log.resets, source.readyState]") == [[], 1]
    await eventually(lambda: site.streams == 1)


LOSSY = """() => {
    let told = 0;
    window.lossy = true;
    window.BroadcastChannel = class extends BroadcastChannel {
        set onmessage(listener) {
            super.onmessage = (message) => {
                const lost = lossy && message.data.kind === "event" && ++told % 7 === 0;
                if (!lost) listener(message);
            };
        }
    };
}"""


async def test_a_tab_that_misses_messages_gets_them_all_the_same(site: Site) -> None:
    first = await site.watch(share=True)
    await opened(first)
    lossy = await site.page()
    await lossy.evaluate(LOSSY)
    await lossy.evaluate(WATCH, ["/events?topic=t", QUICK | {"share": True}])
    await opened(lossy)
    await site.publish(50)
    await lossy.evaluate("() => { lossy = false; }")

    # A missing event shows by the next one.
    async def has_caught_up() -> bool:
        await site.publish()
        return bool(await lossy.evaluate("log.data.length") >= site.published)

    await eventually(has_caught_up)
    for page in (first, lossy):
        await has(page, list(range(site.published)))


async def test_a_tab_that_hangs_is_replaced(site: Site) -> None:
    await site.serve(heartbeat=0.3)
    pages = [await site.watch(share=True, timeout=2000) for _ in range(2)]
    for page in pages:
        await opened(page)
    hung = await reader_of(pages)
    pages.remove(hung)
    hang = "(end => { while (Date.now() < end); })(Date.now() + 8000)"
    hanging = asyncio.create_task(hung.evaluate(hang))
    await site.publish(5)
    await has(pages[0], [0, 1, 2, 3, 4])
    assert not hanging.done()
    await hanging
    await site.publish(5)
    for page in (hung, pages[0]):
        await has(page, list(range(10)))
    await eventually(lambda: site.streams == 1)


async def test_tabs_are_told_of_a_reset_and_of_the_end(site: Site) -> None:
    pages = [await site.watch(share=True) for _ in range(2)]
    for page in pages:
        await opened(page)
    await site.publish(2)
    await site.hub.stop()
    await site.serve()
    await site.publish(2)
    for page in pages:
        await page.wait_for_function("log.resets.length === 1")
    await site.publish(2)
    for page in pages:
        await page.wait_for_function("log.data.includes(5)")
    assert await pages[0].evaluate("log.data") == await pages[1].evaluate("log.data")
    async with answering("403 No") as (port, asked):
        site.proxy.target = port
        site.proxy.cut()
        for page in pages:
            await page.wait_for_function("source.readyState === 2")
        assert len(asked) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_debug_page_publishes_and_shows(
    site: Site, chromium: Browser, tmp_path: Path, scheme: Any
) -> None:
    page = await chromium.new_page(color_scheme=scheme, viewport={"width": 1280, "height": 900})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    await page.goto(site.proxy.url + "/events/debug?topic=orders&topic=t")
    state = page.locator("#state")
    await expect(state).to_have_text("live")

    await page.fill("#publish [name=topic]", "orders")
    await page.fill("#publish [name=event]", "created")
    await page.fill("#publish [name=data]", '{"number": 17, "lines": [1, 2]}')
    await page.click("#publish button")
    await expect(page.locator("#published")).to_contain_text("published as")
    row = page.locator("#rows tr", has_text="created")
    await expect(row.locator("td")).to_have_text(
        [TIME, "orders", CURSOR, "created", '{"number":17,"lines":[1,2]}']
    )
    await page.fill("#publish [name=event]", "")
    await page.fill("#publish [name=data]", "<b>text, as it is</b>")
    await page.click("#publish button")
    await expect(page.locator("#rows")).to_contain_text("<b>text, as it is</b>")
    await expect(page.locator("#count")).to_have_text("2")

    await page.fill("#filter", "created")
    await expect(page.locator("#rows tr:visible")).to_have_count(1)
    await page.fill("#filter", "")
    site.proxy.cut()
    await expect(page.locator("#reconnects")).to_have_text("1", timeout=PATIENCE * 1000)
    await site.hub.stop()
    await expect(state).to_have_text("reconnecting")
    await site.serve()
    await expect(page.locator("#resets")).to_have_text("1", timeout=PATIENCE * 1000)
    await expect(page.locator("#rows")).to_contain_text("events are missing: epoch")
    await site.publish(3)
    await expect(page.locator("#count")).to_have_text("5")
    await page.screenshot(path=tmp_path / f"{scheme}.png", full_page=True)
    await page.click("#stop")
    await expect(state).to_have_text("not watching")
    await eventually(lambda: site.streams == 0)
    # Chromium itself notes each connection that was lost.
    assert [text for text in complaints if "net::ERR_" not in text] == []
    assert all(url.startswith((site.proxy.url, "data:")) for url in requested)


async def test_the_debug_page_draws_once_a_frame_and_can_pause(site: Site) -> None:
    """300 events a second stopped the browser for 8 s: each row was laid out by itself."""
    page = await site.page()
    await page.goto(site.proxy.url + "/events/debug?topic=t")
    await expect(page.locator("#state")).to_have_text("live")
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")

    async def layouts() -> float:
        metrics = (await session.send("Performance.getMetrics"))["metrics"]
        return next(float(each["value"]) for each in metrics if each["name"] == "LayoutCount")

    async def publish(count: int) -> None:
        lines = b"".join(b'{"topic": "t", "data": %d}\n' % number for number in range(count))
        headers = {"Content-Type": "application/x-ndjson"}
        url = site.hub.url + "/events"
        async with await fetch(url, method="POST", headers=headers, body=lines) as answer:
            assert answer.status == 200
            await answer.body()

    before = await layouts()
    for _ in range(10):
        await publish(300)
    patience = PATIENCE * 1000
    await expect(page.locator("#count")).to_have_text("3,000", timeout=patience)
    assert await layouts() - before < 1500  # one for each event were 3,000
    await expect(page.locator("#rows tr")).to_have_count(500)

    await page.click("#pause")
    await publish(700)
    await expect(page.locator("#count")).to_have_text("3,700", timeout=patience)
    await expect(page.locator("#pause")).to_have_text("Go on (500 wait)")
    await expect(page.locator("#rows tr").last).to_contain_text("299")
    await page.click("#pause")
    await expect(page.locator("#rows tr").last).to_contain_text("699")
    await expect(page.locator("#rows tr")).to_have_count(500)


@asynccontextmanager
async def hoarding(target: int) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A proxy that hands each answer on at its end, as antivirus does (Fyrd/caniuse#2148) and some
    tunnels (cloudflare/cloudflared#1449): its port, and the requests that it got.

    It passes streams on at once after `HONEST` was appended to its requests.
    """
    asked: list[bytes] = []

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head)
        up_reader, up = await asyncio.open_connection("127.0.0.1", target)
        up.write(head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        held = b""
        try:
            while piece := await up_reader.read(65536):
                held += piece
                if HONEST in asked:
                    writer.write(held)
                    held = b""
            writer.write(held)
            await writer.drain()
        finally:
            up.close()
            writer.close()

    async with serving(carry) as port:
        yield port, asked


HONEST = b"honest"


async def test_behind_a_proxy_that_hoards_it_polls_and_comes_back(site: Site) -> None:
    await site.serve(heartbeat=0.3)
    page = await site.page()
    async with hoarding(site.hub.port) as (port, asked):
        site.proxy.target = port
        site.proxy.cut()
        await page.evaluate(WATCH, ["/events?topic=t", QUICK | {"timeout": 1500}])
        await page.wait_for_function("log.opens >= 1 && source.lastEventId")
        ways = [b"poll=1" in head or b"x-ndjson" in head for head in asked]
        assert ways[0] is False, "server-sent events first"
        assert any(b"x-ndjson" in head and b"poll=1" not in head for head in asked)
        await site.publish(25)
        await has(page, list(range(25)))
        asked.append(HONEST)
        await page.evaluate("dispatchEvent(new Event('online'))")

        def streams() -> list[bytes]:
            """The requests for a stream since then: one that tries, and one that stays."""
            later = asked[asked.index(HONEST) + 1 :]
            return [head for head in later if b"text/event-stream" in head]

        await eventually(lambda: len(streams()) >= 2)
        polls = sum(b"poll=1" in head for head in asked)
        await site.publish(25)
        await has(page, list(range(50)))
        assert sum(b"poll=1" in head for head in asked) <= polls + 1
        assert await page.evaluate("log.resets") == []


async def test_numbers_and_texts_come_by_lines_as_they_were_published(site: Site) -> None:
    """A JSON number of 20 digits, which JavaScript would round, and texts that look like JSON."""
    page = await site.page()
    given = ['{"n":12345678901234567890}', '"a \\",\\"data\\": b"', '"plain"', "[1.0,1e3]"]
    async with hoarding(site.hub.port) as (port, _):
        site.proxy.target = port
        site.proxy.cut()
        await page.evaluate(
            """async (options) => {
            const { EddylineEventSource } = await import("/events/static/eddyline.js");
            window.texts = [];
            window.source = new EddylineEventSource("/events?topic=t", options);
            source.onmessage = (event) => texts.push(event.data);
        }""",
            QUICK | {"timeout": 1500},
        )
        await page.wait_for_function("source.lastEventId")
        for text in given:
            body = b'{"topic":"t","data":%b}' % text.encode()
            async with await fetch(site.hub.url + "/events", method="POST", body=body) as answer:
                assert answer.status == 201
        await page.wait_for_function("texts.length === 4")
        expected = [given[0], 'a ","data": b', "plain", "[1.0,1e3]"]
        assert await page.evaluate("texts") == [expected[0], *expected[1:3], "[1.0,1000.0]"]


def token_of(user: str, key: str, **more: Any) -> str:
    claims = {"sub": user, "scope": f"events:subscribe:acct/{user}", "exp": time.time() + 60}
    return jwt.encode(claims | more, key, "HS256")


async def test_tabs_of_two_users_share_nothing(chromium: Browser) -> None:
    """Two accounts in two tabs of one browser, at one URL."""
    key = "k" * 32
    async with AsyncExitStack() as stack:
        site = Site(chromium, stack)
        await site.serve(auth_key=key)
        url = "/events?topic=acct/{user}"
        pages = {}
        for number, user in enumerate(("alice", "alice", "bob")):
            page = await site.page()
            token = token_of(user, key, jti=str(number), iat=int(time.time()) - number)
            await page.evaluate(
                """async ([url, token]) => {
                const { EddylineEventSource } = await import("/events/static/eddyline.js");
                window.got = [];
                window.token = token;
                window.source = new EddylineEventSource(url, {
                    share: true, maxDelay: 50, token: () => window.token });
                source.onmessage = (event) => got.push(event.data);
            }""",
                [url, token],
            )
            await page.wait_for_function("source.lastEventId")
            pages[number] = page
        assert site.streams == 2, "one for each user"
        publisher = jwt.encode(
            {"sub": "p", "scope": "events:publish", "exp": time.time() + 60}, key
        )

        async def publish(user: str, data: str) -> None:
            body = orjson.dumps({"topic": f"acct/{user}", "data": data, "private": True})
            headers = {"Authorization": f"Bearer {publisher}"}
            async with await fetch(
                site.hub.url + "/events", method="POST", body=body, headers=headers
            ) as answer:
                assert answer.status == 201

        await publish("alice", "for alice only")
        await publish("bob", "for bob only")
        for number, expected in ((0, "for alice only"), (1, "for alice only"), (2, "for bob only")):
            await pages[number].wait_for_function("got.length")
            assert await pages[number].evaluate("got") == [expected]
        # Alice's first tab, which reads for both, becomes bob's: the other one goes on for itself.
        await pages[0].evaluate("(token) => { window.token = token }", token_of("bob", key))
        site.proxy.cut()
        await eventually(lambda: site.streams == 3)
        await publish("alice", "still for alice")
        await publish("bob", "also for bob")
        await pages[1].wait_for_function("got.length === 2")
        assert await pages[1].evaluate("got") == ["for alice only", "still for alice"]
        await pages[0].wait_for_function("got.length === 3")
        assert await pages[0].evaluate("got") == ["for alice only", "for bob only", "also for bob"]
