"""A client that sees the framing of a response: test transports buffer whole responses."""

import asyncio
import socket
import ssl
import weakref
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any, Self
from urllib.parse import urlsplit

import orjson

from eddyline.connection.transport import reset
from eddyline.testing.wait import PATIENCE
from eddyline.wire import ndjson, sse

_open: "weakref.WeakSet[Stream]" = weakref.WeakSet()


class Stream:
    """One response, read as it comes. `clean` tells, after the end, whether the body was whole."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.status: int = 0
        self.headers: dict[str, str] = {}
        self.clean: bool | None = None
        self.parser: sse.Parser = sse.Parser()
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
        # Browsers, too, use the bytes of a chunk that came, even if the rest never comes.
        data = await self.reader.read(min(65536, self._chunk))
        self._chunk -= len(data)
        if data and not self._chunk:
            await self.reader.readexactly(2)
        return data

    async def body(self) -> bytes:
        """The whole body."""
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


def abort_all() -> None:
    """Ends all streams that a test has left open, while there is a loop to close them in."""
    for stream in list(_open):
        stream.writer.transport.abort()


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
        reader, writer = await asyncio.open_connection(
            sock=sock, ssl=tls, server_hostname=parts.hostname if tls else None, limit=limit
        )
    except BaseException:
        sock.close()
        raise
    stream = Stream(reader, writer)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    try:
        writer.write(request_bytes(method, target or "/", headers or {}, body, version))
        async with asyncio.timeout(PATIENCE):
            await stream.read_head(method)
    except BaseException:
        writer.transport.abort()
        raise
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
