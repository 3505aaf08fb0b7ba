"""Fixtures of the library's tests: a bare app whose streams the test itself writes."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import Response
from starlette.types import ASGIApp

from eddyline.connection.base import EXTENSION, Connection
from eddyline.connection.response import StreamResponse
from eddyline.server.protocol import StreamProtocol
from eddyline.service.drain import Drain
from eddyline.service.settings import Settings
from eddyline.testing import PATIENCE, Running, eventually, running
from eddyline.testing.stream import abort_all


@dataclass
class Recorder:
    """A listener that notes the calls of its connection."""

    told: list[str] = field(default_factory=list)

    def on_full(self) -> None:
        self.told.append("full")

    def on_writable(self) -> None:
        self.told.append("writable")

    def on_close(self) -> None:
        self.told.append("close")

    def on_shutdown(self) -> bool:
        return False


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@dataclass
class Bench:
    """A server with one stream at /stream, whose connections the test holds in its hands."""

    running: Running
    opened: "asyncio.Queue[tuple[Connection, Recorder]]"
    abandoned: list[str]

    @property
    def url(self) -> str:
        return self.running.url

    async def connection(self) -> tuple[Connection, Recorder]:
        return await asyncio.wait_for(self.opened.get(), 20)


def bare_app(opened: "asyncio.Queue[tuple[Connection, Recorder]]", abandoned: list[str]) -> FastAPI:
    app = FastAPI()
    app.state.context = SimpleNamespace(settings=Settings(), drain=Drain(0.0, 0.2))

    def open(connection: Connection) -> None:
        recorder = Recorder()
        connection.listener = recorder
        connection.write(b"first")
        opened.put_nowait((connection, recorder))

    @app.api_route("/stream", methods=["GET", "HEAD", "POST"])
    async def stream() -> Response:
        return StreamResponse(open, lambda: abandoned.append("abandoned"), "text/event-stream")

    @app.get("/plain")
    async def plain() -> dict[str, str]:
        return {"plain": "answer"}

    @app.post("/extension")
    async def extension(request: Request) -> bool:
        return EXTENSION in request.scope.get("extensions", {})

    return app


@pytest.fixture
def bench_of() -> Callable[..., "AsyncIterator[Bench]"]:
    @asynccontextmanager
    async def start(**options: object) -> AsyncIterator[Bench]:
        opened: asyncio.Queue[tuple[Connection, Recorder]] = asyncio.Queue()
        abandoned: list[str] = []
        async with running(bare_app(opened, abandoned), **options) as server:
            yield Bench(server, opened, abandoned)

    return start


@pytest.fixture(params=["detached", "asgi"])
def serve(request: pytest.FixtureRequest) -> Callable[[ASGIApp], Any]:
    """Serves any app on a plain uvicorn with our protocol and with its own: a URL, the server."""
    http = {"detached": StreamProtocol, "asgi": "httptools"}[request.param]

    @asynccontextmanager
    async def start(app: ASGIApp) -> AsyncIterator[tuple[str, uvicorn.Server]]:
        config = uvicorn.Config(app, port=0, http=http, loop="asyncio", log_config=None)
        server = uvicorn.Server(config)
        # Not `serve`, which takes the process's signals.
        task = asyncio.create_task(server._serve())
        try:
            await eventually(lambda: server.started or task.done())
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", server
        finally:
            abort_all()
            server.should_exit = True
            await asyncio.wait_for(task, PATIENCE)

    return start


@pytest.fixture
def no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket can be taken from asyncio: as many files are open as may be."""

    def dup(_: socket.socket) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket.socket, "dup", dup)


@pytest.fixture(params=["socket", "transport", "asgi"])
async def bench(request: pytest.FixtureRequest, bench_of) -> AsyncIterator[Bench]:  # type: ignore[no-untyped-def]
    """Every test of a stream runs against all connections."""
    if request.param == "transport":
        request.getfixturevalue("no_descriptor")
    options = {"http": "httptools"} if request.param == "asgi" else {}
    async with bench_of(**options) as started:
        yield started
