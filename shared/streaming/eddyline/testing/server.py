"""For tests: a real server on a free port, a client that sees the framing, a TCP proxy with faults.

Test transports buffer whole responses; a stream is tested on a socket.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI

from eddyline.connection.transport import reset
from eddyline.server.server import StreamServer, server_config, stop_accepting
from eddyline.testing.stream import abort_all
from eddyline.testing.wait import PATIENCE, eventually


@dataclass
class Running:
    """A server of this process, in this event loop."""

    app: FastAPI
    server: StreamServer
    port: int
    scheme: str
    task: asyncio.Task[None] = field(repr=False)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        """Drains the server as a signal does, and waits for its end."""
        self.server.should_exit = True
        await asyncio.wait_for(asyncio.shield(self.task), PATIENCE)


@asynccontextmanager
async def running(app: FastAPI, **options: Any) -> AsyncIterator[Running]:
    """Serves `app` on a free port of loopback. `http="httptools"`: plain uvicorn, without our
    protocol.
    """
    sock = socket.create_server(("127.0.0.1", 0), backlog=4096)
    config = server_config(app, app.state.context.settings, **options)
    server = StreamServer(config, app.state.context.drain)
    task = asyncio.create_task(server.serve_without_signals([sock]))
    scheme = "https" if config.is_ssl else "http"
    try:
        await eventually(lambda: server.started or task.done())
        yield Running(app, server, sock.getsockname()[1], scheme, task)
    finally:
        abort_all()
        server.should_exit = True
        app.state.context.drain.window = min(app.state.context.drain.window, 0.1)
        await asyncio.wait_for(task, PATIENCE)


@asynccontextmanager
async def serving(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    port: int = 0,
) -> AsyncIterator[int]:
    """A server of the test's own, whose connections `answer` serves: its port. None of them is
    open when it has ended, not even one that was just being accepted.
    """
    served: dict[asyncio.Future[None], asyncio.StreamWriter] = {}

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of our own: one of asyncio's server complains when it is cancelled (3.11).
        task = asyncio.ensure_future(answer(reader, writer))
        served[task] = writer
        task.add_done_callback(forget)

    def forget(task: "asyncio.Future[None]") -> None:
        served.pop(task).close()

    server = await asyncio.start_server(accept, "127.0.0.1", port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        await stop_accepting([server])
        server.close()
        left = dict(served)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for writer in left.values():
            reset(writer.transport)
        await asyncio.sleep(0)
