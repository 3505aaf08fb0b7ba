"""Events for one app in five lines: a journal, its readers, and the end of the process."""

import asyncio
import math
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from eddyline.broadcast.broadcast import Broadcast, Topics
from eddyline.broadcast.formats import POLL, POLL_SECONDS, accepted
from eddyline.connection.refusal import refusal
from eddyline.durable import store_source
from eddyline.durable.app import DurableStreams, Mounted
from eddyline.durable.reader import Admission, ReadPolicy
from eddyline.errors import Conflict, StreamingError, Unavailable
from eddyline.journal.backends import backend_from_url
from eddyline.journal.base import Backend, Bounds, NewEntry, check_event_type
from eddyline.policy import ProducePolicy, StreamPolicy
from eddyline.produce.generator_run import Source
from eddyline.produce.producer import Producer
from eddyline.produce.stream_feeds import StreamFeeds
from eddyline.server.stopping import on_stop
from eddyline.service.admission import Limits
from eddyline.service.drain import Drain
from eddyline.store.memory import MemoryStore
from eddyline.telemetry.base import NoStreamMeter, StreamMeter


class PublishRefused(Unavailable, HTTPException):
    """The journal can't be reached now: 503 with `Retry-After`, in any app that lets it pass."""

    def __init__(self, error: Unavailable) -> None:
        headers = {"Retry-After": str(math.ceil(error.retry_after))}
        HTTPException.__init__(self, error.status, error.detail, headers)
        self.retry_after: float = error.retry_after


class Hub:
    """Publishes events to topics, and lets any number of clients subscribe to them and resume.

    It works in any Starlette or FastAPI app, on any ASGI server:

        hub = Hub()
        app = FastAPI(lifespan=hub.lifespan)

    `url`: where the events are kept. None is the memory of this process, and suits a single one;
    `redis://…` is shared by all processes that name it. `name`: hubs of two names in one Redis know
    nothing of each other. `bounds`: how much is kept, and for how long. `policy`: the limits of
    each stream's life, `produce_policy` those of generators. `drain_window`: the seconds, after
    SIGTERM or SIGINT, within which all streams end, each at its own random moment; a server must
    wait for longer (hypercorn's default is 3). `meter`: takes the measures; none are taken without
    it.

    Raises SettingsError where the URL's scheme is not known, or its extra is not installed.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        name: str = "events",
        bounds: Bounds | None = None,
        policy: StreamPolicy = StreamPolicy(),
        produce_policy: ProducePolicy = ProducePolicy(),
        drain_window: float = 2.0,
        meter: StreamMeter | None = None,
    ) -> None:
        self._new_backend = partial(backend_from_url, url or "memory://", name, bounds)
        self._new_backend()  # a bad URL fails here, not at the start of the app
        self._policy = policy
        self._produce_policy = produce_policy
        self._drain_window = drain_window
        self._meter = meter or NoStreamMeter("hub", "broadcast")
        self._running: _Running | None = None

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """Runs the hub: give it to the app as its lifespan, or enter it in a lifespan of your own.

        SIGTERM and SIGINT begin the drain: streams end with `retry:`, newcomers are refused.
        """
        if self._running is not None:
            raise RuntimeError("this hub runs already: one hub serves one app, in one event loop")
        # All anew: an app that is started again, as by a test client, has another event loop.
        backend, drain = self._new_backend(), Drain(window=self._drain_window)
        broadcast = Broadcast(backend.journal, self._meter, self._policy, drain)
        store = MemoryStore(self._produce_policy.total_bytes)
        producer = Producer(store, self._policy, drain, self._meter, self._produce_policy)
        feeds = StreamFeeds(store, store_source.entry, self._meter, self._policy, drain)
        durable = DurableStreams(store, feeds, ReadPolicy())
        loop = asyncio.get_running_loop()
        running = _Running(loop, backend, broadcast, producer, durable, drain, Limits(drain))
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(backend.run())
            await stack.enter_async_context(broadcast.run())
            await stack.enter_async_context(producer.run())
            await stack.enter_async_context(feeds.run())
            stack.callback(running.close)
            await stack.enter_async_context(on_stop(running.stop))
            self._running = running
            try:
                yield
            finally:
                self._running = None

    async def subscribe(self, request: Request, topics: Collection[str]) -> Response:
        """The response that brings the events of `topics` to a client, from now on.

        Server-sent events; NDJSON where the client accepts only that; the answer of a long poll
        with `?poll=1`. A client that names the id of an event (`Last-Event-ID`, or `?after=`)
        gets all events after that one first. Where they are not known any more, the stream says
        so by an event `eddyline.reset`.

        While the process stops, or the journal is away, it is a refusal: 200 with `retry:` for an
        EventSource, which gives up at any error status, and 503 with `Retry-After` for others.
        """
        if isinstance(topics, str) or not topics:
            raise ValueError(f"topics={topics!r}: must be a list of one topic or more")
        running = self._require_running()
        selector = Topics(frozenset(topics))
        # Clients send the id's UTF-8; Starlette takes the bytes of a header for Latin-1.
        header = request.headers.get("last-event-id", "").encode("latin-1").decode(errors="replace")
        id = header or request.query_params.get("after")
        poll = request.query_params.get("poll") == "1"
        try:
            running.drain.admit()
            after = await running.broadcast.locate(id, selector)
            permit = running.limits.admit()
        except StreamingError as error:
            return refusal(request, error)
        return running.broadcast.response(
            permit,
            selector,
            after=after,
            format=POLL if poll else accepted(request.headers.get("accept", "")),
            seconds=POLL_SECONDS if poll else None,
        )

    async def publish(
        self, topic: str, value: Any, *, event: str | None = None, id: str | None = None
    ) -> str:
        """Publishes one event, and returns its id once the event is in the journal.

        `value`: a text, which is sent as it is, or any other value that JSON has, sent as JSON.
        `event`: its type, `message` by default. `id`: your own id in place of the hub's.

        Raises BadRequest where `event` is one of ours (`eddyline.…`), `event` or `id` holds a line
        end, or no client could resume from `id`; Conflict where a retained event of other content
        has the `id`; TypeError where JSON has no such value; and Unavailable where the journal is
        away: it can't be said whether the event is in. In a route that is a 503 with `Retry-After`.
        """
        check_event_type(event)
        text = value if isinstance(value, str) else orjson.dumps(value).decode()
        new = NewEntry(topic, text, event, id, json=not isinstance(value, str))
        journal = self._require_running().backend.journal
        try:
            [receipt] = await journal.append([new])
        except Unavailable as error:
            raise PublishRefused(error) from error
        if receipt.outcome == "taken":
            raise Conflict(f"id={id!r}: another event has it, and an id names one event")
        return receipt.id

    async def produce(
        self, request: Request, key: str, generator: Source | None = None
    ) -> Response:
        """The response that brings the values of a generator to any number of clients.

            return await hub.produce(request, f"answers/{question.id}", answer(question))

        The first request for a key starts its generator, async or blocking. The generator runs
        once, in this process, whether a client listens or not. All clients get all values; one that
        names the id of an event (`Last-Event-ID`, or `?after=`) gets the values after it. Without a
        `generator` a client can only join. The key names the stream for everyone: where a stream is
        one user's own, put the user into it.

        A text is sent as it is, a `NamedEvent` as an event of that type, any other value as JSON.
        The last event is `eddyline.end`, or `eddyline.error` with `{"reason", "detail"}`: the
        generator raised, was cancelled, or exceeded the `produce_policy`, or its process stopped.
        An EventSource that comes back after the last event is told by 204 to stop.

        Streams are kept in the memory of this process, and end with it: behind several workers, a
        client must reach the same one again. A client that resumes a stream that has expired gets
        410. A key whose stream has expired is free again.

        A generator lives longer than the request that started it: dependencies of FastAPI that are
        closed with the request are closed while it runs.
        """
        try:
            return await self._require_running().producer.response(request, key, generator)
        except StreamingError as error:
            return refusal(request, error)

    def durable(self) -> ASGIApp:
        """An app that serves the streams of `produce` by the protocol Durable Streams, read-only:

            app.mount("/streams", hub.durable())

        The path is the key: the values of `produce(request, "answers/7", …)` are read at
        `/streams/answers/7`, each as a JSON message, by any client of that protocol.
        https://github.com/durable-streams/durable-streams
        """

        def find() -> tuple[DurableStreams, Admission]:
            running = self._require_running()
            return running.durable, Admission(running.limits.admit)

        return Mounted(find)

    async def cancel(self, key: str) -> bool:
        """Ends the generator of `produce` under `key`, and tells its clients. False where there is
        none, or it has ended.
        """
        return await self._require_running().producer.cancel(key)

    def _require_running(self) -> "_Running":
        if self._running is None:
            raise RuntimeError(
                "the hub does not run: give the app its lifespan, FastAPI(lifespan=hub.lifespan),"
                " or enter `async with hub.lifespan(app)` in your own"
            )
        if self._running.loop is not asyncio.get_running_loop():
            # Two threads would write to the same connections at the same time.
            raise RuntimeError(
                "the hub runs in another event loop: in a thread, call for example"
                " asyncio.run_coroutine_threadsafe(hub.publish(topic, value), loop_of_the_app)"
            )
        return self._running


@dataclass(slots=True)
class _Running:
    """The parts of a hub that live from the start of its app to its end."""

    loop: asyncio.AbstractEventLoop
    backend: Backend
    broadcast: Broadcast
    producer: Producer
    durable: DurableStreams
    drain: Drain
    limits: Limits
    draining: asyncio.Task[None] | None = None

    def stop(self) -> None:
        """Begins the drain, once."""
        if self.draining is None:
            self.draining = asyncio.create_task(self.drain.run())

    def close(self) -> None:
        if self.draining is not None:
            self.draining.cancel()
