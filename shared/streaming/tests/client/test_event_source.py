"""The Python client behind a proxy with faults: the joined arrivals equal the published events."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import httpx
import orjson
import pytest
from fastapi import FastAPI, Request

from eddyline.broadcast.broadcast import Broadcast, Topics
from eddyline.client.event_source import EventSource, Refused
from eddyline.errors import BadRequest, Unavailable
from eddyline.journal.base import NewEntry
from eddyline.journal.memory import MemoryJournal
from eddyline.service.admission import Limits
from eddyline.service.drain import Drain
from eddyline.service.problems import install
from eddyline.service.settings import Settings
from eddyline.telemetry.metrics import StreamMetrics
from eddyline.testing import FaultProxy, Running, eventually, running, serving
from eddyline.wire.sse import Event

QUICK = 0.02


class Hub:
    """A journal's events at `/`; the errors of `refuse` are raised, once each."""

    def __init__(self, **settings: Any) -> None:
        self.journal = MemoryJournal()
        settings = {"drain_window": 0.1} | settings
        context: Any = SimpleNamespace(settings=Settings(**settings), drain=Drain(0.0, 0.1))
        self.limits = Limits(context.drain)
        self.broadcast = Broadcast(
            self.journal, StreamMetrics("test", "broadcast"), context.settings.policy, context.drain
        )
        self.app = FastAPI(lifespan=lambda _: self.broadcast.run())
        self.app.state.context = context
        install(self.app)
        self.refuse: list[Exception] = []
        self.requests: list[Request] = []
        self.published = 0
        self.running: Running

        @self.app.get("/")
        async def subscribe(request: Request):  # type: ignore[no-untyped-def]
            self.requests.append(request)
            if self.refuse:
                raise self.refuse.pop(0)
            topics = Topics(frozenset("t"))
            after = await self.broadcast.locate(request.headers.get("last-event-id"), topics)
            return self.broadcast.response(self.limits.admit(None, None), topics, after=after)

    async def publish(self, count: int = 1) -> None:
        for _ in range(count):
            await self.journal.append([NewEntry("t", str(self.published))])
            self.published += 1


@asynccontextmanager
async def hub_of(**settings: Any) -> AsyncIterator[Hub]:
    hub = Hub(**settings)
    async with running(hub.app) as hub.running:
        yield hub


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    async with hub_of() as started:
        yield started


@pytest.fixture
async def proxy(hub: Hub) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(hub.running.port) as started:
        yield started


class Reader:
    """An EventSource that is read in a task of its own."""

    def __init__(self, url: str, **options: Any) -> None:
        self.source = EventSource(url, **{"max_delay": QUICK} | options)
        self.got: list[Event] = []
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for event in self.source:
            self.got.append(event)

    @property
    def numbers(self) -> list[int]:
        return [int(event.data) for event in self.got if event.event == "message"]

    @property
    def resets(self) -> list[Any]:
        return [orjson.loads(event.data) for event in self.got if event.event == "eddyline.reset"]

    async def started(self) -> None:
        """With the first bytes: before them there is nothing to resume from."""
        await eventually(lambda: self.source.last_event_id)

    async def has_all(self, hub: Hub) -> None:
        """Exactly the published events, in order: nothing lost, nothing twice."""
        await eventually(lambda: self.numbers[-1:] == [hub.published - 1])
        assert self.numbers == list(range(hub.published))


@pytest.fixture
async def reading() -> AsyncIterator[Callable[..., Reader]]:
    readers: list[Reader] = []

    def start(url: str, **options: Any) -> Reader:
        readers.append(Reader(url, **options))
        return readers[-1]

    yield start
    for reader in readers:
        reader.task.cancel()
        await reader.source.close()


async def test_events_arrive_with_their_names_and_ids(hub, reading):
    reader = reading(hub.running.url)
    await reader.started()
    await hub.journal.append([NewEntry("t", "a\nb", event="named", id="own"), NewEntry("t", "")])
    await eventually(lambda: len(reader.got) == 2)
    assert reader.got[0] == Event("a\nb", "named", "own")
    assert reader.source.last_event_id == reader.got[1].id


async def test_nothing_is_lost_or_twice_cut_after_any_number_of_bytes(hub, proxy, reading):
    reader = reading(proxy.url)
    await reader.started()
    # The head of the answer has about 250 bytes, an event about 25.
    for cut in range(1, 500, 2):
        seen = len(hub.requests)
        proxy.cut_after = cut
        proxy.cut()
        await hub.publish(random.randrange(4))
        await eventually(lambda seen=seen: len(hub.requests) > seen)
    proxy.cut_after = None
    proxy.cut()
    await hub.publish()
    await reader.has_all(hub)
    assert reader.resets == []


async def test_nothing_is_lost_or_twice_when_it_is_cut_at_random(hub, proxy, reading):
    reader = reading(proxy.url)
    await reader.started()
    for _ in range(200):
        proxy.cut_after = random.choice([None, random.randrange(250, 2000)])
        await hub.publish(random.randrange(30))
        if random.random() < 0.3:
            proxy.cut()
        await asyncio.sleep(0.002)  # sleep: it is cut at random moments
    proxy.cut_after = None
    await hub.publish()
    proxy.cut()
    await reader.has_all(hub)


async def test_silence_is_given_up(hub, proxy, reading):
    reader = reading(proxy.url, timeout=0.5)
    await reader.started()
    seen = len(hub.requests)
    proxy.freeze()
    await hub.publish(3)
    await eventually(lambda: reader.source._response is None)
    proxy.thaw()
    await reader.has_all(hub)
    assert len(hub.requests) > seen


async def test_a_silent_stream_with_heartbeats_lasts(reading):
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(f"HTTP/1.1 {EVENTS}".encode())
        for _ in range(30):
            writer.write(b":\n\n")
            await asyncio.sleep(0.1)  # sleep: the pace of heartbeats
        writer.write(b"data: 1\n\n")
        await asyncio.Event().wait()

    async with serving(answer) as port:
        # Silent for longer than that in all, and at no time for more than a twentieth of it.
        reader = reading(f"http://127.0.0.1:{port}", timeout=2.0)
        await eventually(lambda: reader.numbers == [1])
    assert len(asked) == 1


async def test_a_clean_end_is_a_reconnect(reading, monkeypatch):
    monkeypatch.setattr("eddyline.broadcast.subscriber.RETRY", (1, 20))
    async with hub_of(max_age=0.1) as hub:
        reader = reading(hub.running.url)
        await reader.started()

        async def has_come_back() -> bool:
            await hub.publish()
            return len(hub.requests) >= 6

        await eventually(has_come_back)
        await reader.has_all(hub)


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    """The seconds for which a client has waited: no time passes."""
    waited: list[float] = []

    async def wait(_: EventSource, seconds: float) -> None:
        waited.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr(EventSource, "_wait", wait)
    return waited


async def test_refusals_that_pass_are_waited_out(hub, reading, waits):
    # For an event stream the hub's own refusal is soft: 200, `retry:`, and the end.
    hub.refuse = [Unavailable("not now", 0.1)]
    reader = reading(hub.running.url)
    await reader.started()
    [waited] = waits
    assert 2 <= waited <= 2 + QUICK
    await hub.publish(2)
    await reader.has_all(hub)


async def test_a_restart_with_another_journal_is_told(hub, proxy, reading):
    reader = reading(proxy.url)
    await reader.started()
    await hub.publish(2)
    await reader.has_all(hub)
    proxy.target = 1  # nobody listens there
    proxy.cut()
    async with hub_of() as other:
        proxy.target = other.running.port
        await eventually(lambda: reader.resets)
        assert reader.resets == [{"reason": "epoch", "oldest": str(other.broadcast.head)}]
        await other.publish(2)
        await eventually(lambda: reader.numbers == [0, 1, 0, 1])


async def test_a_final_refusal_is_raised_in_the_servers_words(hub):
    hub.refuse = [BadRequest("topic 'x' is none")]
    async with EventSource(hub.running.url) as events:
        with pytest.raises(Refused, match="topic 'x' is none") as refused:
            await anext(events)
    assert refused.value.status == 400
    assert len(hub.requests) == 1


@asynccontextmanager
async def answering(*answers: str) -> AsyncIterator[tuple[str, list[str]]]:
    """A server that gives these answers, the last one for ever: its URL, and the requests."""
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        text = answers[min(len(asked), len(answers) - 1)]
        asked.append(head)
        writer.write(f"HTTP/1.1 {text}".encode())
        writer.close()

    async with serving(answer) as port:
        yield f"http://127.0.0.1:{port}", asked


EVENTS = "200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


async def test_it_waits_as_long_as_it_is_told(waits):
    soon = formatdate(time.time() + 100, usegmt=True)
    answers = [
        "503 No\r\nRetry-After: 1\r\n\r\n",
        f"429 No\r\nRetry-After: {soon}\r\n\r\n",
        "502 No\r\nRetry-After: soon\r\n\r\n",
        f"{EVENTS}retry: 700\ndata: 1\n\n",
        f"{EVENTS}data: 2\n\n",
    ]
    async with answering(*answers) as (url, asked):
        async with EventSource(url, max_delay=QUICK) as events:
            assert [(await anext(events)).data for _ in range(2)] == ["1", "2"]
    assert len(asked) == 5
    assert [round(wait - QUICK / 2, 1) for wait in (waits[0], *waits[2:])] == [1, 0, 0.7]
    # A date has whole seconds, and some time has passed since it was made.
    assert 1 < waits[1] <= 100 + QUICK


async def test_failures_are_waited_for_longer_and_longer(reading, waits, monkeypatch):
    monkeypatch.setattr("eddyline.tasks.random.uniform", lambda least, most: most)
    async with answering("503 No\r\n\r\n") as (url, _):
        reading(url, max_delay=10.0)
        await eventually(lambda: len(waits) >= 6)
    assert waits[:6] == [1, 2, 4, 8, 10, 10]


async def test_clients_that_failed_together_come_back_apart(reading, waits):
    async with answering("503 No\r\n\r\n") as (url, _):
        for _ in range(20):
            reading(url, max_delay=1.0)
        await eventually(lambda: len(waits) >= 60)
    assert all(0 <= wait <= 1 for wait in waits)
    assert len({round(wait, 2) for wait in waits}) > 20


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
async def test_other_errors_of_4xx_are_final(status):
    async with answering(f"{status} No\r\n\r\n") as (url, asked):
        async with EventSource(url) as events:
            with pytest.raises(Refused, match=str(status)):
                await anext(events)
        assert len(asked) == 1


async def test_204_ends_it():
    async with answering("204 Done\r\n\r\n") as (url, asked):
        async with EventSource(url) as events:
            assert [event async for event in events] == []
        assert len(asked) == 1


async def test_an_answer_that_is_no_event_stream_is_waited_out():
    page = "200 OK\r\nContent-Type: text/html\r\n\r\n<p>data: back soon</p>\n\n"
    async with answering(page, f"{EVENTS}data: 1\n\n") as (url, _):
        async with EventSource(url, max_delay=QUICK) as events:
            assert (await anext(events)).data == "1"


async def test_tokens_and_tickets_are_made_for_each_connect():
    made = 0

    async def token() -> str:
        nonlocal made
        made += 1
        return f"token-{made}"

    async with answering(f"{EVENTS}id: ü.1\ndata: 1\n\n") as (url, asked):
        options: Any = {"ticket": lambda: f"ticket-{made}", "headers": {"X-More": "yes"}}
        options |= {"token": token, "max_delay": QUICK}
        async with EventSource(url + "/?topic=a", **options) as events:
            for _ in range(2):
                await anext(events)
    first, second = asked[:2]
    assert first.startswith("GET /?topic=a&ticket=ticket-1 ")
    assert "Authorization: Bearer token-2" in second
    assert "X-More: yes" in second
    assert "last-event-id" not in first.lower()
    assert "Last-Event-ID: ü.1" in second


async def test_what_was_not_taken_is_not_counted_as_seen(hub):
    await hub.publish(5)
    async with EventSource(hub.running.url, last_event_id="earliest") as events:
        taken = [await anext(events) for _ in range(2)]
        assert events.last_event_id == taken[-1].id
    async with EventSource(hub.running.url, last_event_id=events.last_event_id) as events:
        assert [(await anext(events)).data for _ in range(3)] == ["2", "3", "4"]


async def test_a_client_that_is_given_is_left_open(hub):
    async with httpx.AsyncClient() as client:
        async with EventSource(hub.running.url, client=client) as events:
            waiting = asyncio.ensure_future(anext(events))
            await eventually(lambda: hub.limits.open == 1)
            waiting.cancel()
        await eventually(lambda: hub.limits.open == 0)
        assert not client.is_closed


async def test_a_url_of_no_protocol_is_the_callers_fault():
    async with EventSource("ftp://127.0.0.1/") as events:
        with pytest.raises(httpx.UnsupportedProtocol):
            await anext(events)
