"""For tests: a real server on a free port, a client that sees the framing, a TCP proxy with faults.

Test transports buffer whole responses; a stream is tested on a socket.
"""

import asyncio
import os
import shlex
import signal
import socket
import ssl
import subprocess
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import orjson
from fastapi import FastAPI

from streaming import ndjson, sse
from streaming.server import StreamServer, server_config, stop_accepting
from streaming.transport import reset

#: The server under all tests that need one; a valkey-server will do.
REDIS = shlex.split(os.environ.get("MILLRACE_TEST_REDIS") or "redis-server")

#: Seconds after which a test that waits has failed.
PATIENCE = 20.0


async def eventually(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Waits until `condition()` is true, and returns its value; TimeoutError otherwise."""
    async with asyncio.timeout(seconds):
        while not (value := condition()):
            await asyncio.sleep(0.005)
        return value


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


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
        """As by a signal: drains, then waits for the server to end."""
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
    # Not `serve`, which takes the process's signals: a test that hangs must still be killable.
    task = asyncio.create_task(server._serve([sock]))
    scheme = "https" if config.is_ssl else "http"
    try:
        await eventually(lambda: server.started or task.done())
        yield Running(app, server, sock.getsockname()[1], scheme, task)
    finally:
        # What a test leaves open goes now, while there is a loop to close it in.
        for stream in list(_open):
            stream.writer.transport.abort()
        server.should_exit = True
        app.state.context.drain.window = min(app.state.context.drain.window, 0.1)
        await asyncio.wait_for(task, PATIENCE)


_open: "weakref.WeakSet[Stream]" = weakref.WeakSet()


class Stream:
    """One response, read as it comes. `clean` tells, after the end, whether the body was whole."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.status = 0
        self.headers: dict[str, str] = {}
        self.clean: bool | None = None
        self.parser = sse.Parser()
        self._events: list[sse.Event] = []
        self._left: int | None = None
        self._chunk = 0
        _open.add(self)

    async def read_head(self, method: str) -> None:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status, *lines = head.rstrip().split("\r\n")
        self.status = int(status.split()[1])
        self.headers = {k.lower(): v.strip() for k, _, v in (h.partition(":") for h in lines)}
        self.clean = None
        self._chunk = 0
        length = self.headers.get("content-length")
        self._left = int(length) if length is not None else None
        if method == "HEAD" or self.status in (204, 304):
            self._left = 0

    async def read(self) -> bytes:
        """Some bytes of the body; b"" at its end, clean or not."""
        try:
            if self.headers.get("transfer-encoding") == "chunked" and self._left is None:
                data = await self._read_chunk()
            elif self._left is None:
                data = await self.reader.read(65536)
                self._left = None if data else 0
            else:
                data = await self.reader.read(min(65536, self._left)) if self._left else b""
                self._left -= len(data)
        except (asyncio.IncompleteReadError, ConnectionError):
            data = b""
        if not data:
            self.clean = self._left == 0
        return data

    async def _read_chunk(self) -> bytes:
        if not self._chunk:
            self._chunk = int((await self.reader.readuntil(b"\r\n")).strip(), 16)
            if not self._chunk:
                await self.reader.readexactly(2)
                self._left = 0
                return b""
        # As browsers do: what has come of a chunk counts, should the rest never come.
        data = await self.reader.read(min(65536, self._chunk))
        self._chunk -= len(data)
        if data and not self._chunk:
            await self.reader.readexactly(2)
        return data

    async def body(self) -> bytes:
        """All that comes until the end."""
        async with asyncio.timeout(PATIENCE):
            return b"".join([data async for data in self.chunks()])

    async def chunks(self) -> AsyncIterator[bytes]:
        while data := await self.read():
            yield data

    async def event(self, seconds: float = PATIENCE) -> sse.Event | None:
        """The next event; None at the end of the stream."""
        async with asyncio.timeout(seconds):
            while not self._events:
                data = await self.read()
                if not data:
                    return None
                self._events.extend(self.parser.feed(data))
            return self._events.pop(0)

    async def events(self, count: int | None = None) -> list[sse.Event]:
        """The next `count` events, or all until the end."""
        got: list[sse.Event] = []
        while (count is None or len(got) < count) and (event := await self.event()) is not None:
            got.append(event)
        return got

    async def values(self) -> AsyncIterator[Any]:
        """The values of an NDJSON body."""
        parser = ndjson.Parser()
        while data := await self.read():
            for value in parser.feed(data):
                yield value

    async def json(self) -> Any:
        return orjson.loads(await self.body())

    async def close(self) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()

    def reset(self) -> None:
        """Goes without a goodbye: RST."""
        reset(self.writer.transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def __del__(self) -> None:
        # A test that fails drops its streams anywhere; the loop may be gone by then.
        with suppress(RuntimeError):
            self.writer.transport.abort()


async def fetch(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    version: str = "1.1",
    receive_buffer: int | None = None,
    tls: ssl.SSLContext | None = None,
    limit: int = 65536,
) -> Stream:
    """Sends a request and returns when the head is there. `receive_buffer`: SO_RCVBUF, for slow
    readers.
    """
    parts = urlsplit(url)
    sock = socket.socket()
    try:
        sock.setblocking(False)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        port = parts.port or (443 if tls else 80)
        await asyncio.get_running_loop().sock_connect(sock, (parts.hostname, port))
    except BaseException:
        sock.close()
        raise
    reader, writer = await asyncio.open_connection(
        sock=sock, ssl=tls, server_hostname=parts.hostname if tls else None, limit=limit
    )
    stream = Stream(reader, writer)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    writer.write(request_bytes(method, target or "/", headers or {}, body, version))
    async with asyncio.timeout(PATIENCE):
        await stream.read_head(method)
    return stream


def request_bytes(
    method: str, target: str, headers: Mapping[str, str], body: bytes = b"", version: str = "1.1"
) -> bytes:
    lines = [f"{method} {target} HTTP/{version}"]
    lines += [f"{name}: {value}" for name, value in {"Host": "127.0.0.1", **headers}.items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
        if not any(name.lower() == "content-type" for name in headers):
            lines.append("Content-Type: application/json")
    return "\r\n".join([*lines, "", ""]).encode() + body


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


class FaultProxy:
    """A TCP proxy before a real server, which cuts, freezes and counts."""

    def __init__(self, port: int) -> None:
        self.port = 0
        #: Each new connection ends after so many bytes towards the client, wherever that is.
        self.cut_after: int | None = None
        #: Where new connections go: another port is another server.
        self.target = port
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving = serving(self._connect)

    async def __aenter__(self) -> Self:
        self.port = await self._serving.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._serving.__aexit__(None, None, None)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Resets every connection, both sides."""
        for writer in list(self._writers):
            reset(writer.transport)

    def freeze(self) -> None:
        """Nothing passes any more; connections stay open."""
        self._flowing.clear()

    def thaw(self) -> None:
        self._flowing.set()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = {writer}
        self._writers.add(writer)
        try:
            with suppress(OSError):
                up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.target)
                own.add(up_writer)
                self._writers.add(up_writer)
                await asyncio.gather(
                    self._carry(reader, up_writer, None),
                    self._carry(up_reader, writer, self.cut_after),
                )
        finally:
            self._writers -= own
            for each in own:
                reset(each.transport)

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, budget: int | None
    ) -> None:
        while data := await reader.read(65536):
            await self._flowing.wait()
            if budget is not None:
                data, budget = data[:budget], budget - len(data)
            writer.write(data)
            await writer.drain()
            if budget is not None and budget <= 0:
                # A FIN: an RST would take back what the client's kernel holds and the client has
                # not read.
                writer.close()
                await writer.wait_closed()
                raise ConnectionResetError("cut after its budget")
        writer.write_eof()


class RedisServer:
    """A real redis-server of its own on a free port of loopback, which may be killed and started
    again.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Returns when it answers; its data is what the last life left (append-only file)."""
        command = [*REDIS, "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--appendonly", "yes", "--dir", str(self._folder)]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([*command, *self._options], stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE
        while self.command("PING") != b"+PONG\r\n":
            if self._process.poll() is not None or time.monotonic() > deadline:
                log_text = (self._folder / "redis.log").read_text()
                raise RuntimeError(f"redis-server did not start:\n{log_text}")
            time.sleep(0.02)

    def command(self, line: str) -> bytes:
        """The raw answer to an inline command; b"" where nobody answers."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as sock:
                sock.settimeout(5)
                sock.sendall(line.encode() + b"\r\n")
                return sock.recv(65536)
        except OSError:
            return b""

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Ends it by a signal; SIGKILL is a crash."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(PATIENCE)
            self._process = None

    def pause(self) -> None:
        """It hangs: connections stay open, and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self.stop(signal.SIGKILL)
