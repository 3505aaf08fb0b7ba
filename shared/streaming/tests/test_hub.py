"""The hub on a plain uvicorn, with its own protocol and with ours, in apps without any handlers."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from types import FrameType, SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from eddyline import EventSource, Hub, NamedEvent, ProducePolicy, StreamPolicy, Unavailable
from eddyline.errors import BadRequest, SettingsError
from eddyline.journal.backends import BACKENDS
from eddyline.journal.base import Bounds, Follower, Receipt
from eddyline.journal.memory import MemoryBackend, MemoryJournal
from eddyline.testing import Stream, eventually, fetch

EVENTS = {"Accept": "text/event-stream"}


async def words() -> AsyncIterator[Any]:
    """Has two words, and never comes to a third."""
    yield "one"
    yield NamedEvent("second", {"word": 2})
    await asyncio.Event().wait()


def app_of(hub: Hub) -> Starlette:
    async def events(request: Request) -> Response:
        return await hub.subscribe(request, topics=["orders", "rates"])

    async def publish(request: Request) -> Response:
        return PlainTextResponse(await hub.publish("orders", await request.json()))

    async def answer(request: Request) -> Response:
        return await hub.produce(request, "answer", words())

    routes = [
        Route("/events", events),
        Route("/orders", publish, methods=["POST"]),
        Route("/answer", answer),
    ]
    return Starlette(routes=routes, lifespan=hub.lifespan)


@pytest.fixture
def sigterm() -> Iterator[list[Callable[[], None]]]:
    """The actions of the server's own handler of SIGTERM."""
    does: list[Callable[[], None]] = []

    def handle(number: int, frame: FrameType | None) -> None:
        for action in does:
            action()

    former = signal.signal(signal.SIGTERM, handle)
    yield does
    assert signal.getsignal(signal.SIGTERM) is handle
    signal.signal(signal.SIGTERM, former)


async def subscribed(url: str) -> Stream:
    """A stream whose first bytes have come."""
    stream = await fetch(f"{url}/events")
    stream._events.extend(stream.parser.feed(await stream.read()))
    return stream


async def test_values_arrive_as_they_were_published(serve):
    hub = Hub()
    async with serve(app_of(hub)) as (url, _):
        stream = await subscribed(url)
        ids = [
            await hub.publish("orders", {"id": 7, "name": "é"}),
            await hub.publish("rates", "two\nlines"),
            await hub.publish("elsewhere", 1),
            await hub.publish("orders", None, event="cancelled", id="order-7"),
        ]
        first, second, third = await stream.events(3)
        assert json.loads(first.data) == {"id": 7, "name": "é"}
        assert (second.data, second.event) == ("two\nlines", "message")
        assert (third.data, third.event, third.id) == ("null", "cancelled", "order-7")
        assert [first.id, second.id, third.id] == [ids[0], ids[1], ids[3]]


async def test_a_client_that_comes_back_gets_all_that_it_missed(serve):
    hub = Hub()
    async with serve(app_of(hub)) as (url, _):
        ids = [await hub.publish("orders", n) for n in range(1000)]
        by_header = await fetch(f"{url}/events", headers={"Last-Event-ID": ids[99]})
        by_query = await fetch(f"{url}/events?after={ids[99]}")
        ids.append(await hub.publish("orders", 1000))
        for stream in (by_header, by_query):
            assert [event.id for event in await stream.events(901)] == ids[100:]


async def test_a_client_resumes_from_an_id_of_the_apps_own_in_any_script(serve):
    hub = Hub()
    async with serve(app_of(hub)) as (url, _):
        await hub.publish("orders", 1, id="заказ 1")
        id = await hub.publish("orders", 2)
        async with EventSource(f"{url}/events", last_event_id="заказ 1") as source:
            assert (await anext(source)).id == id


@pytest.mark.parametrize("id", ["", "earliest", "a\nb", "a\0"])
async def test_an_id_that_no_client_could_resume_from_is_refused(id):
    hub = Hub()
    async with hub.lifespan():
        with pytest.raises(BadRequest):
            await hub.publish("orders", 1, id=id)


async def test_an_id_that_nobody_knows_is_said_in_the_stream(serve):
    hub = Hub()
    async with serve(app_of(hub)) as (url, _):
        stream = await fetch(f"{url}/events", headers={"Last-Event-ID": "nobodys"})
        reset = await stream.event()
        assert reset is not None
        assert (reset.event, json.loads(reset.data)["reason"]) == ("eddyline.reset", "unknown")
        id = await hub.publish("orders", 1)
        assert [event.id for event in await stream.events(1)] == [id]


async def test_an_id_that_is_no_longer_kept_is_said_in_the_stream(serve):
    hub = Hub(bounds=Bounds(max_bytes=3000))
    async with serve(app_of(hub)) as (url, _):
        ids = [await hub.publish("orders", n) for n in range(100)]
        assert hub._running is not None
        hub._running.broadcast.recent._max_bytes = 0
        await hub.publish("orders", 100)
        stream = await fetch(f"{url}/events", headers={"Last-Event-ID": ids[0]})
        reset = await stream.event()
        assert reset is not None
        assert (reset.event, json.loads(reset.data)["reason"]) == ("eddyline.reset", "trimmed")


async def test_a_slow_reader_is_caught_up_and_holds_nobody_back(serve):
    hub = Hub()
    async with serve(app_of(hub)) as (url, _):
        slow = await fetch(f"{url}/events", receive_buffer=4096, limit=4096)
        fast = await subscribed(url)
        reading = asyncio.create_task(fast.events(2000))
        ids = [await hub.publish("orders", f"{n}:{'x' * 1000}") for n in range(2000)]
        assert [event.id for event in await reading] == ids
        assert [event.id for event in await slow.events(2000)] == ids


async def test_lines_come_to_a_client_that_accepts_them_only(serve):
    hub = Hub()
    async with serve(app_of(hub)) as (url, _):
        stream = await fetch(f"{url}/events", headers={"Accept": "application/x-ndjson"})
        assert stream.headers["content-type"].startswith("application/x-ndjson")
        id = await hub.publish("orders", {"id": 7})
        values = [value async for value in _until(stream.values(), lambda v: "data" in v)]
        assert (values[-1]["id"], values[-1]["data"]) == (id, {"id": 7})


async def _until(values: AsyncIterator[Any], last: Callable[[Any], bool]) -> AsyncIterator[Any]:
    async for value in values:
        yield value
        if last(value):
            return


async def test_a_long_poll_is_answered_by_the_first_event(serve):
    hub = Hub()
    async with serve(app_of(hub)) as (url, _):
        waiting = await fetch(f"{url}/events?poll=1")
        id = await hub.publish("orders", {"id": 7})
        answer = await waiting.json()
        assert [event["id"] for event in answer["events"]] == [id]
        assert answer["cursor"] == id


async def test_a_signal_ends_all_streams_in_the_window_and_then_the_server(serve, sigterm):
    hub = Hub(drain_window=0.3)
    async with serve(app_of(hub)) as (url, server):
        sigterm.append(lambda: setattr(server, "should_exit", True))
        streams = [await subscribed(url) for _ in range(20)]
        id = await hub.publish("orders", 1)
        signal.raise_signal(signal.SIGTERM)
        for stream in streams:
            assert [event.id for event in await stream.events()] == [id]
            assert stream.clean
            assert stream.parser.retry is not None
        await eventually(lambda: hub._running is None)


@pytest.mark.parametrize("serve", ["detached"], indirect=True)
async def test_a_server_of_ours_that_stops_without_a_signal_ends_streams_in_order(serve):
    hub = Hub(drain_window=0.3)
    async with serve(app_of(hub)) as (url, server):
        stream = await subscribed(url)
        id = await hub.publish("orders", 1)
        server.should_exit = True
        assert [event.id for event in await stream.events()] == [id]
        assert stream.clean
        assert stream.parser.retry is not None


async def test_newcomers_of_a_drain_are_put_off(serve, sigterm):
    hub = Hub(drain_window=60)
    async with serve(app_of(hub)) as (url, _):
        staying = await subscribed(url)
        signal.raise_signal(signal.SIGTERM)
        assert hub._running is not None
        running = hub._running
        await eventually(lambda: running.drain.draining)
        await refused_softly(url)
        assert staying.clean is None
        await staying.close()


async def refused_softly(url: str) -> None:
    put_off = await fetch(f"{url}/events", headers=EVENTS)
    assert (put_off.status, await put_off.events()) == (200, [])
    assert put_off.parser.retry is not None
    refused = await fetch(f"{url}/events")
    assert refused.status == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.headers["content-type"] == "application/problem+json"


class AwayJournal(MemoryJournal):
    """A journal whose server was never reached."""

    async def append(self, batch: Any) -> list[Receipt]:
        raise Unavailable("the journal is away", 2.5)

    @asynccontextmanager
    async def follow(self, follower: Follower) -> AsyncIterator[None]:
        yield


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> str:
    def away(*_: Any) -> MemoryBackend:
        backend = MemoryBackend(Bounds())
        backend.journal = AwayJournal()
        return backend

    monkeypatch.setitem(sys.modules, "away", SimpleNamespace(away=away))
    monkeypatch.setitem(BACKENDS, "away", "away:away")
    return "away://"


async def test_a_generator_is_joined_resumed_and_cancelled(serve):
    hub = Hub()
    async with serve(app_of(hub)) as (url, _):
        one, two = await (await fetch(f"{url}/answer")).events(2)
        assert (one.data, two.event, two.data) == ("one", "second", '{"word":2}')
        joined = await fetch(f"{url}/answer")
        resumed = await fetch(f"{url}/answer", headers={"Last-Event-ID": one.id})
        assert await joined.events(2) == [one, two]
        assert await resumed.events(1) == [two]
        assert await hub.cancel("answer")
        [end] = await joined.events()
        assert (end.event, json.loads(end.data)["reason"]) == ("eddyline.error", "cancelled")
        assert await resumed.events() == [end]
        assert not await hub.cancel("answer")
        unknown = await fetch(f"{url}/answer", headers={"Last-Event-ID": "?"})
        assert unknown.status == 400


async def test_the_policy_of_generators_is_the_hubs(serve):
    hub = Hub(produce_policy=ProducePolicy(deadline=0.1))
    async with serve(app_of(hub)) as (url, _):
        *_, end = await (await fetch(f"{url}/answer")).events()
        assert json.loads(end.data)["reason"] == "deadline"


async def test_a_signal_ends_the_readers_of_a_generator_and_the_generator_in_the_window(
    serve, sigterm
):
    hub = Hub(drain_window=0.3)
    async with serve(app_of(hub)) as (url, server):
        sigterm.append(lambda: setattr(server, "should_exit", True))
        streams = [await fetch(f"{url}/answer") for _ in range(20)]
        for stream in streams:
            await stream.events(2)
        assert hub._running is not None
        producer = hub._running.producer
        signal.raise_signal(signal.SIGTERM)
        for stream in streams:
            assert await stream.events() == []
            assert stream.clean
            assert stream.parser.retry is not None
        await eventually(lambda: producer.running == 0)


async def test_a_journal_that_is_away_is_an_answer_that_says_when_to_come_back(serve, away):
    hub = Hub(away)
    async with serve(app_of(hub)) as (url, _):
        await refused_softly(url)
        answer = await fetch(f"{url}/orders", method="POST", body=b"1")
        assert (answer.status, answer.headers["retry-after"]) == (503, "3")
        with pytest.raises(Unavailable, match="away") as caught:
            await hub.publish("orders", 1)
        assert caught.value.retry_after == 2.5


async def test_it_runs_in_a_lifespan_of_the_apps_own_again_and_again(serve):
    hub, steps = Hub(), []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with hub.lifespan(app):
            steps.append(await hub.publish("orders", 1))
            yield
        steps.append("over")

    app = app_of(hub)
    app.router.lifespan_context = lifespan
    for _ in range(2):
        async with serve(app) as (url, _):
            await subscribed(url)
    assert steps[1::2] == ["over", "over"]


async def test_a_hub_that_does_not_run_says_how_to_run_it():
    hub = Hub()
    with pytest.raises(RuntimeError, match=r"lifespan=hub\.lifespan"):
        await hub.publish("orders", 1)
    async with hub.lifespan():
        with pytest.raises(RuntimeError, match="runs already"):
            async with hub.lifespan():
                pass


async def test_a_thread_is_told_how_to_publish():
    hub = Hub()
    async with hub.lifespan():
        loop = asyncio.get_running_loop()

        def publish() -> str:
            with pytest.raises(RuntimeError, match="run_coroutine_threadsafe"):
                asyncio.run(hub.publish("orders", 1))
            return asyncio.run_coroutine_threadsafe(hub.publish("orders", 1), loop).result()

        assert (await asyncio.to_thread(publish)).endswith(".1")


@pytest.mark.parametrize("topics", ["orders", [], ()])
async def test_topics_are_a_list(topics):
    hub = Hub()
    async with hub.lifespan():
        with pytest.raises(ValueError, match="topics="):
            await hub.subscribe(Request({"type": "http"}), topics)


async def test_a_value_that_json_lacks_is_refused():
    hub = Hub()
    async with hub.lifespan():
        with pytest.raises(TypeError):
            await hub.publish("orders", {1, 2})


def test_a_bad_url_fails_where_it_is_written():
    with pytest.raises(SettingsError, match="'nosuch', expected one of"):
        Hub("nosuch://")


async def test_the_policy_is_that_of_its_streams(serve):
    hub = Hub(policy=StreamPolicy(max_age=1.0))
    async with serve(app_of(hub)) as (url, _):
        stream = await fetch(f"{url}/events")
        assert await stream.events() == []
        assert stream.parser.retry is not None
