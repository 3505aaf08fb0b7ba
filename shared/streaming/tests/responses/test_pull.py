import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY
from starlette.types import Message, Scope

from eddyline import testing
from eddyline.responses.pull import PullResponse
from eddyline.service.app import Context
from eddyline.service.settings import Settings
from eddyline.telemetry.metrics import StreamMetrics
from eddyline.testing import Stream, eventually, running

CHUNK = 64 * 1024

Produce = Callable[[], Iterator[bytes] | AsyncIterator[bytes]]


@pytest.fixture(params=["ours", "plain uvicorn"])
def server(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {} if request.param == "ours" else {"http": "httptools"}


_opened: list[Stream] = []


async def fetch(url: str, **options: Any) -> Stream:
    stream = await testing.fetch(url, **options)
    _opened.append(stream)
    return stream


@pytest.fixture(autouse=True)
async def streams_are_closed() -> AsyncIterator[None]:
    yield
    while _opened:
        await _opened.pop().close()


class Served:
    """One route that pulls from `produce`, and its outcome."""

    def __init__(self, produce: Produce, name: str, expires: float | None, **settings: Any) -> None:
        self.context = Context.from_settings(Settings(**{"log_level": "error", **settings}))
        self.app = FastAPI()
        self.app.state.context = self.context
        self.name = name
        self.connections: Callable[[], Collection[Any]] = tuple
        metrics = StreamMetrics(name, "pull")

        @self.app.get("/")
        async def pull() -> PullResponse:
            permit = self.context.limits.admit(None, None)
            stream = self.context.stream(metrics, permit, expires)
            return PullResponse(produce, stream, media_type="text/plain")

    def ended(self, reason: str) -> bool:
        return self._sample("streams_ended_total", reason=reason) == 1

    @property
    def open(self) -> float | None:
        return self._sample("streams_open")

    @property
    def bytes(self) -> float | None:
        return self._sample("sent_bytes_total")

    def _sample(self, metric: str, **labels: str) -> float | None:
        labels = {"service": self.name, "kind": "pull", **labels}
        return REGISTRY.get_sample_value(f"eddyline_{metric}", labels)


@pytest.fixture
def serve(server: dict[str, Any], request: pytest.FixtureRequest) -> Callable[..., Any]:
    @asynccontextmanager
    async def serving(
        produce: Produce, expires: float | None = None, **settings: Any
    ) -> AsyncIterator[tuple[Served, str]]:
        served = Served(produce, request.node.name, expires, **settings)
        async with running(served.app, **server) as run:
            served.connections = lambda: run.server.server_state.connections
            yield served, run.url

    return serving


def numbered(count: int, counter: Callable[[], None] = lambda: None) -> Iterator[bytes]:
    for number in range(count):
        counter()
        yield b"%08d" % number * (CHUNK // 8)


async def test_sends_all_and_counts(serve: Callable[..., Any]) -> None:
    async with serve(partial(numbered, 40)) as (served, url):
        stream = await fetch(url)
        assert stream.headers["x-accel-buffering"] == "no"
        assert await stream.body() == b"".join(numbered(40))
        assert stream.clean
        await eventually(lambda: served.ended("complete"))
        assert (served.open, served.bytes) == (0, 40 * CHUNK)
        await eventually(lambda: served.context.limits.open == 0)


async def test_the_head_and_each_chunk_are_sent_at_once(serve: Callable[..., Any]) -> None:
    chunks: asyncio.Queue[bytes] = asyncio.Queue()

    async def told() -> AsyncIterator[bytes]:
        while chunk := await chunks.get():
            yield chunk

    async with serve(told) as (_, url):
        stream = await fetch(url)
        for text in (b"one", b"two"):
            chunks.put_nowait(text)
            assert await stream.read() == text
        chunks.put_nowait(b"")
        assert await stream.body() == b""
        assert stream.clean


@pytest.fixture
def logged() -> Iterator[list[logging.LogRecord]]:
    """The log of stream and server. Not by caplog: `jsonlog.configure` takes its handler away."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign, assignment]
    loggers = [logging.getLogger(name) for name in ("eddyline.stream", "uvicorn.error")]
    for logger in loggers:
        logger.addHandler(handler)
    yield records
    for logger in loggers:
        logger.removeHandler(handler)


async def test_a_failure_is_no_regular_end_and_one_log_line(
    serve: Callable[..., Any], logged: list[logging.LogRecord]
) -> None:
    def failing() -> Iterator[bytes]:
        yield from numbered(3)
        raise ValueError("row 3 is broken")

    async with serve(failing) as (served, url):
        stream = await fetch(url)
        assert await stream.body() == b"".join(numbered(3))
        assert stream.clean is False
        await eventually(lambda: served.ended("failed"))
        await eventually(lambda: served.context.limits.open == 0)
    ours = [record for record in logged if record.name == "eddyline.stream"]
    assert [vars(record)["error"] for record in ours] == ["ValueError('row 3 is broken')"]
    assert not [record for record in logged if record.exc_info]


async def test_a_failure_before_the_first_chunk_is_no_regular_end(
    serve: Callable[..., Any],
) -> None:
    async def failing() -> AsyncIterator[bytes]:
        raise ValueError("no database")
        yield b""

    async with serve(failing) as (served, url):
        stream = await fetch(url)
        assert await stream.body() == b""
        assert stream.clean is False
        await eventually(lambda: served.ended("failed"))


async def test_a_producer_that_awaits_what_is_cancelled_fails(serve: Callable[..., Any]) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"hello"
        raise asyncio.CancelledError

    async with serve(failing) as (served, url):
        stream = await fetch(url)
        assert await stream.body() == b"hello"
        assert stream.clean is False
        await eventually(lambda: served.ended("failed"))


async def test_a_sync_producer_is_closed_when_the_client_leaves(
    serve: Callable[..., Any],
) -> None:
    closed: list[bool] = []

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield bytes(CHUNK)
        finally:
            closed.append(True)

    # Held here, so that the garbage collector does not close it.
    producer = endless()
    async with serve(lambda: producer) as (served, url):
        stream = await fetch(url)
        await stream.read()
        stream.reset()
        await eventually(lambda: closed == [True] and served.ended("client_closed"))
        await eventually(lambda: served.open == 0)
        await eventually(lambda: served.context.limits.open == 0)


async def test_a_silent_async_producer_is_closed_when_the_client_leaves(
    serve: Callable[..., Any],
) -> None:
    closed: list[bool] = []

    async def silent() -> AsyncIterator[bytes]:
        try:
            yield b"hello"
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    async with serve(silent) as (served, url):
        stream = await fetch(url)
        assert await stream.read() == b"hello"
        await stream.close()
        await eventually(lambda: closed == [True] and served.ended("client_closed"))


async def test_an_async_producer_that_never_waits_lets_others_run(
    serve: Callable[..., Any],
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x"

    async with serve(endless) as (served, url):
        stream = await fetch(url)
        for _ in range(1000):
            await stream.read()
        stream.reset()
        await eventually(lambda: served.ended("client_closed"))


async def test_a_server_whose_send_never_waits_still_hears_that_the_client_left() -> None:
    context = Context.from_settings(Settings())
    stream = context.stream(StreamMetrics("never-waits", "pull"), context.limits.admit(None, None))

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x"

    async def receive() -> Message:
        await asyncio.sleep(0)
        return {"type": "http.disconnect"}

    async def send(_: Message) -> None:
        pass

    scope: Scope = {"type": "http", "http_version": "1.1", "path": "/", "method": "GET"}
    await PullResponse(endless, stream, media_type="text/plain")(scope, receive, send)
    # The reason, too: the time limit of a test that hangs would end the stream as well.
    labels = {"service": "never-waits", "kind": "pull", "reason": "client_closed"}
    assert REGISTRY.get_sample_value("eddyline_streams_ended_total", labels) == 1
    await eventually(lambda: context.limits.open == 0)


@pytest.mark.parametrize("server", ["ours"], indirect=True)
async def test_nothing_is_kept_for_a_client_that_stalled(serve: Callable[..., Any]) -> None:
    async with serve(partial(numbered, 100_000), write_timeout=0.3) as (served, url):
        await fetch(url, receive_buffer=8192)
        await eventually(lambda: served.ended("stalled"))
        # The client still holds its end, and reads nothing.
        await eventually(lambda: not served.connections())


async def settled(value: Callable[[], int], seconds: float = 0.3) -> int:
    """The value once it has not changed for a while; TimeoutError if it never rests."""
    async with asyncio.timeout(20):
        while True:
            before = value()
            await asyncio.sleep(seconds)  # sleep: nothing tells the end of a growth
            if value() == before:
                return before


async def test_the_socket_sets_the_pace(serve: Callable[..., Any]) -> None:
    steps: list[None] = []
    produce = partial(numbered, 100_000, lambda: steps.append(None))
    async with serve(produce) as (_, url):
        stream = await fetch(url, receive_buffer=8192)
        stopped_at = await settled(lambda: len(steps))
        # The bytes that the kernel takes for a reader that does not read, and one chunk in hand.
        assert stopped_at * CHUNK < 8 * 1024 * 1024
        read = 0
        while read < 16 * 1024 * 1024:
            read += len(await stream.read())
        assert stopped_at < len(steps) <= (read + 8 * 1024 * 1024) / CHUNK
        stream.reset()


async def test_a_client_that_stalls_is_cut_off(serve: Callable[..., Any]) -> None:
    produce = partial(numbered, 100_000)
    async with serve(produce, write_timeout=0.3) as (served, url):
        stream = await fetch(url, receive_buffer=8192)
        await eventually(lambda: served.ended("stalled"))
        await eventually(lambda: served.context.limits.open == 0)
        await stream.body()
        assert stream.clean is False


@pytest.mark.parametrize("server", ["ours"], indirect=True)
async def test_a_client_that_is_slow_is_not_cut_off(serve: Callable[..., Any]) -> None:
    """One chunk waits for many times the write timeout, and the client takes it bit by bit."""

    def one() -> Iterator[bytes]:
        yield bytes(64 * 1024 * 1024)

    async with serve(one, write_timeout=0.2) as (served, url):
        stream = await fetch(url, receive_buffer=65536)
        until = time.monotonic() + 2
        while time.monotonic() < until:
            assert await stream.reader.readexactly(65536)
            await asyncio.sleep(0.01)  # sleep: the pace of a slow client
        assert served.open == 1
        stream.reset()
        await eventually(lambda: served.ended("client_closed"))


async def test_it_ends_when_the_token_does(serve: Callable[..., Any]) -> None:
    async def silent() -> AsyncIterator[bytes]:
        yield b"hello"
        await asyncio.Event().wait()

    async with serve(silent, expires=time.time() + 0.3) as (served, url):
        stream = await fetch(url)
        await stream.body()
        assert stream.clean is False
        assert served.ended("expired")


async def test_the_drain_lets_it_finish_until_the_deadline(serve: Callable[..., Any]) -> None:
    last: asyncio.Queue[bytes] = asyncio.Queue()

    async def told() -> AsyncIterator[bytes]:
        yield b"hello"
        yield await last.get()

    async with serve(told, drain_window=10.0) as (served, url):
        stream = await fetch(url)
        assert await stream.read() == b"hello"
        draining = asyncio.create_task(served.context.drain.run())
        await eventually(lambda: served.context.drain.draining)
        last.put_nowait(b"bye")
        assert await stream.body() == b"bye"
        assert stream.clean
        await draining
        assert served.ended("complete")


async def test_the_drain_cuts_it_at_the_deadline(serve: Callable[..., Any]) -> None:
    closed: list[bool] = []

    async def silent() -> AsyncIterator[bytes]:
        try:
            yield b"hello"
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    async with serve(silent, drain_window=0.1) as (served, url):
        stream = await fetch(url)
        assert await stream.read() == b"hello"
        await served.context.drain.run()
        assert closed == [True]
        assert served.ended("drain")
        await stream.body()
        assert stream.clean is False
        await eventually(lambda: served.context.drain.open == 0)


async def test_many_slow_readers_share_the_threads(
    serve: Callable[..., Any],
) -> None:
    async with serve(partial(numbered, 100_000)) as (served, url):
        stalled = [await fetch(url, receive_buffer=8192) for _ in range(40)]
        stream = await fetch(url, receive_buffer=8192)
        read = 0
        while read < 16 * 1024 * 1024:
            read += len(await stream.read())
        for other in (*stalled, stream):
            other.reset()
        await eventually(lambda: served.open == 0)


@pytest.mark.parametrize("chunks", [["a", "é"], [b"a", "é".encode()], lambda: iter("aé")])
async def test_it_needs_no_context_and_takes_texts(server: dict[str, Any], chunks: Any) -> None:
    app = FastAPI()
    app.state.context = Context.from_settings(Settings(log_level="error"))
    app.get("/")(lambda: PullResponse(chunks))
    async with running(app, **server) as run:
        stream = await fetch(run.url)
        assert stream.headers["content-type"] == "application/octet-stream"
        assert await stream.body() == "aé".encode()
        assert stream.clean


async def test_an_async_generator_is_pulled_and_closed(server: dict[str, Any]) -> None:
    closed: list[bool] = []

    async def endless() -> AsyncIterator[str]:
        try:
            while True:
                yield "x" * CHUNK
        finally:
            closed.append(True)

    app = FastAPI()
    app.state.context = Context.from_settings(Settings(log_level="error"))
    app.get("/")(lambda: PullResponse(endless(), media_type="text/plain"))
    async with running(app, **server) as run:
        stream = await fetch(run.url)
        assert await stream.read()
        stream.reset()
        await eventually(lambda: closed == [True])
