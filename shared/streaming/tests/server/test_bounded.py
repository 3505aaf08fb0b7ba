"""Requests beyond the bounds, and clients that never finish one, on real sockets."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI, Request
from starlette.responses import Response

from eddyline.server import bounded, intake
from eddyline.server.intake import PIPELINED
from eddyline.service.app import Context, create_app
from eddyline.service.settings import Settings
from eddyline.telemetry import metrics
from eddyline.testing import PATIENCE, eventually, running

GET = b"GET /echo HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /echo HTTP/1.1\r\nHost: a\r\n"


class Client:
    """One connection, whose bytes the test writes itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()

    async def status(self) -> int:
        """The status of the next answer; its body is read, too."""
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            length = next(
                int(line.partition(":")[2])
                for line in head.lower().split("\r\n")
                if line.startswith("content-length:")
            )
            await self.reader.readexactly(length)
            return int(head.split()[1])

    async def ended(self) -> bytes:
        """All that comes until the server ends the connection."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


@pytest.fixture
def app_of() -> Callable[..., FastAPI]:
    def make(**settings: Any) -> FastAPI:
        context = Context.from_settings(Settings(auth="off", drain_window=0.1, **settings))
        app = create_app(context, [], "test")

        @app.api_route("/echo", methods=["GET", "POST"], include_in_schema=False)
        async def echo(request: Request) -> Response:
            return Response(await request.body())

        @app.post("/early")
        async def early(request: Request) -> Response:
            async for _ in request.stream():
                return Response("enough", 413)
            return Response("nothing", 400)

        @app.post("/trailers")
        async def trailers(request: Request) -> Response:
            await request.body()
            return Response(repr(request.headers.items()))

        return app

    return make


@pytest.fixture
def connect(app_of: Callable[..., FastAPI]) -> Callable[..., Any]:
    writers: list[asyncio.StreamWriter] = []

    @asynccontextmanager
    async def start(**settings: Any) -> AsyncIterator[Callable[[], Any]]:
        async with running(app_of(**settings)) as server:

            async def client() -> Client:
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writers.append(writer)
                return Client(reader, writer)

            try:
                yield client
            finally:
                for writer in writers:
                    writer.transport.abort()

    return start


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "TICK", 0.02)
    monkeypatch.setattr(intake, "QUIET", 0.05)


def refused(reason: str) -> float:
    return float(metrics.requests_refused.labels(reason)._value.get())


@pytest.mark.parametrize(
    ("status", "reason", "request_"),
    [
        # RFC 9110 section 15.5.15, RFC 6585 section 5.
        (414, "target", b"GET /echo?" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
        (431, "head_bytes", GET + b"X: " + b"a" * 40_000 + b"\r\n\r\n"),
        (431, "head_bytes", GET + b"X: " + b"a" * 1_000_000),
        (431, "head_bytes", GET + b"X: " + b"a" * 100 * 1000 + b"\r\nY: " + b"b" * 100_000),
        (431, "head_lines", GET + b"X: y\r\n" * 101 + b"\r\n"),
        (431, "head_lines", GET + b"X: y\r\n" * 200_000),
        # RFC 9112 section 3.2.
        (400, "host", b"GET /echo HTTP/1.1\r\n\r\n"),
        (400, "host", GET + b"Host: b\r\n\r\n"),
        (400, "host", GET + b"hOsT: a\r\n\r\n"),
        (400, "host", b"GET /echo HTTP/1.1\r\nHost: a b\r\n\r\n"),
        (400, "host", b"GET /echo HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
        # RFC 9112 section 6.1.
        (501, "transfer_encoding", POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        (501, "transfer_encoding", POST + b"Transfer-Encoding: identity\r\n\r\n"),
        (
            501,
            "transfer_encoding",
            POST + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            400,
            "malformed",
            POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        ),
        (
            400,
            "malformed",
            POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (400, "malformed", POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
        (400, "malformed", b"\0\1\2\3\r\n\r\n"),
        # Trailers, and a chunk's extension, without an end.
        (
            431,
            "head_bytes",
            POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: " + b"a" * 600_000,
        ),
        (431, "head_bytes", POST + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"a" * 600_000),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_a_request_that_no_app_may_see_is_refused_and_counted(
    connect, status, reason, request_
):
    before = refused(reason)
    async with connect() as client:
        one = await client()
        await one.send(request_)
        assert await one.status() == status
        assert await one.ended() == b""
        assert refused(reason) == before + 1
        other = await client()
        await other.send(GET + b"\r\n")
        assert await other.status() == 200


@pytest.mark.parametrize(
    "request_",
    [
        GET + b"X: " + b"a" * 30_000 + b"\r\n\r\n",
        GET + b"X: y\r\n" * 98 + b"\r\n",
        b"GET /echo?" + b"a" * 8000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /echo HTTP/1.0\r\n\r\n",
        POST + b"Transfer-Encoding: Chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        POST + b"Content-Length: 500000\r\n\r\n" + b"a" * 500_000,
        POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 50_000 + b"0\r\n\r\n",
        b"\r\n\r\n" + GET + b"\r\n",
    ],
)
async def test_a_request_within_the_bounds_is_answered(connect, request_):
    async with connect() as client:
        one = await client()
        await one.send(request_)
        if b"HTTP/1.0" in request_:
            assert (await one.ended()).startswith(b"HTTP/1.1 200")
        else:
            assert await one.status() == 200
            await one.send(GET + b"\r\n")  # and the connection is good for another
            assert await one.status() == 200


async def test_a_head_that_comes_byte_by_byte_is_bounded_too(connect):
    async with connect(head_bytes=1024) as client:
        one = await client()
        await one.send(*[b"a"] * 10)
        assert await one.status() in (400, 431)
        two = await client()
        await two.send(GET + b"X: ", *[b"a" * 7] * 200)
        assert await two.status() == 431


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"", b""),
        (b"GET /echo HTTP/1.1\r\nHost: loc", b"HTTP/1.1 408"),
        (POST + b"Content-Length: 100\r\n\r\n{", b"HTTP/1.1 408"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n", b"HTTP/1.1 408"),
        (GET + b"\r\nGET /e", b"HTTP/1.1 200"),  # a second head that never ends
    ],
)
async def test_a_request_that_never_ends_is_ended(connect, sent, answer, monkeypatch):
    monkeypatch.setattr(bounded, "SILENCE", 0.1)
    async with connect(head_timeout=0.2, body_timeout=0.2) as client:
        one = await client()
        await one.send(sent)
        assert (await one.ended()).startswith(answer)


async def test_a_connection_that_asks_nothing_more_is_ended(connect):
    async with connect(keep_alive=1) as client:
        one = await client()
        await one.send(GET + b"\r\n")
        assert await one.status() == 200
        assert await one.ended() == b""


async def test_a_slow_head_is_not_saved_by_a_byte_now_and_then(connect):
    async with connect(head_timeout=0.3) as client:
        one = await client()
        loop = asyncio.get_running_loop()
        began = loop.time()
        task = asyncio.create_task(one.ended())
        while not task.done() and loop.time() < began + PATIENCE:
            one.writer.write(b"G" if loop.time() == began else b"E")
            await asyncio.sleep(0.02)  # sleep: the pace of a slow client
        assert task.done()
        await task


async def test_a_slow_body_that_goes_on_is_taken(connect):
    async with connect(body_timeout=1.0) as client:
        one = await client()
        await one.send(POST + b"Content-Length: 30\r\n\r\n")
        for _ in range(30):
            await one.send(b"a")
            await asyncio.sleep(0.04)  # sleep: the pace of a slow client
        assert await one.status() == 200


async def test_many_that_wait_make_room_for_those_that_ask(connect):
    """And the ones that have been silent for longest go."""
    before = refused("crowded")
    async with connect(limit_waiting=10) as client:
        idle = [await client() for _ in range(30)]
        for one in idle[:10]:
            await one.send(GET)
        await asyncio.gather(*(one.ended() for one in idle[:20]))
        new = await client()
        await new.send(GET + b"\r\n")
        assert await new.status() == 200
        await eventually(lambda: refused("crowded") >= before + 20)


async def test_connections_that_wait_are_counted(connect):
    async with connect() as client:
        ones = [await client() for _ in range(3)]
        await eventually(lambda: metrics.connections_waiting._value.get() == 3)
        await ones[0].send(POST + b"Content-Length: 3\r\n\r\n")
        ones[1].writer.close()
        await eventually(lambda: metrics.connections_waiting._value.get() == 2)


@pytest.mark.parametrize("path", [b"/early", b"/nowhere"])
async def test_an_answer_before_the_whole_body_is_seen_by_a_client_that_still_sends(connect, path):
    """RFC 9112 section 9.6: without a lingering close urllib sees ECONNRESET."""
    async with connect() as client:
        for _ in range(5):
            one = await client()
            size = 8_000_000
            head = b"POST " + path + b" HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size
            await one.send(head, *[b"a" * 100_000] * 80)
            assert await one.status() in (413, 404)
            assert await one.ended() == b""


async def test_a_refusal_is_seen_by_a_client_that_still_sends(connect):
    async with connect() as client:
        one = await client()
        await one.send(GET + b"X: ", *[b"a" * 100_000] * 80)
        assert await one.status() == 431


async def test_trailers_are_not_merged_into_the_head(connect):
    """RFC 9110 section 6.5.1."""
    async with connect() as client:
        one = await client()
        await one.send(
            b"POST /trailers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"0\r\nAuthorization: Bearer x\r\n\r\n"
        )
        one.writer.write_eof()
        answer = await one.ended()
        assert b"200" in answer.split(b"\r\n")[0]
        assert b"authorization" not in answer.lower()


async def test_more_pipelined_requests_than_may_wait_end_the_connection(connect):
    """One read of 256 kB would make ten thousand requests of 2 kB each."""
    async with connect() as client:
        one = await client()
        await one.send((GET + b"\r\n") * 5000)
        answers = (await one.ended()).count(b"HTTP/1.1 200")
        assert 1 <= answers <= PIPELINED + 1
        few = await client()
        await few.send((GET + b"\r\n") * 20)
        assert [await few.status() for _ in range(20)] == [200] * 20


async def test_a_bad_request_behind_a_good_one_does_not_spoil_the_answer(connect):
    async with connect() as client:
        one = await client()
        await one.send(GET + b"\r\n" + b"GET /echo HTTP/1.1\r\n\r\n")
        assert await one.status() == 200
        assert await one.ended() == b""


@pytest.mark.parametrize("leaves", [True, False])
async def test_a_body_that_never_comes_whole_fills_no_log(connect, leaves, caplog):
    """Each was a traceback: 2,000 half bodies wrote 6 MB."""
    async with connect(body_timeout=0.1) as client:
        one = await client()
        await one.send(POST + b"Content-Length: 10\r\n\r\na")
        if leaves:
            one.writer.transport.abort()
        else:
            assert await one.status() == 408
        other = await client()
        await other.send(GET + b"\r\n")
        assert await other.status() == 200
    assert "Exception" not in caplog.text
