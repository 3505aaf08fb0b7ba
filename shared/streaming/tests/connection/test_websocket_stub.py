"""A newcomer's transport: a WebSocket (RFC 6455), to which a broadcast writes as to any connection.

It is a `Framing` and a `Connection`, and one line that hands a connection to the broadcast. The
client is wsproto's, so that two readings of the RFC meet.
"""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)

from eddyline.broadcast.broadcast import Broadcast, Topics
from eddyline.connection.base import HIGH_WATER, LOW_WATER, Connection, Listener
from eddyline.journal.base import NewEntry
from eddyline.journal.memory import MemoryJournal
from eddyline.policy import StreamPolicy
from eddyline.service.admission import Limits
from eddyline.service.drain import Drain
from eddyline.telemetry.base import NoStreamMeter
from eddyline.testing import PATIENCE, eventually
from eddyline.wire import sse

#: RFC 6455 section 1.3: proves that the server has understood the handshake.
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

_TEXT, _CLOSE, _PING, _PONG = 0x1, 0x8, 0x9, 0xA


def frame(opcode: int, data: bytes) -> bytes:
    """A whole message in one frame; a server's are not masked (RFC 6455 section 5.1)."""
    if len(data) < 126:
        return bytes((0x80 | opcode, len(data))) + data
    if len(data) < 1 << 16:
        return bytes((0x80 | opcode, 126)) + len(data).to_bytes(2, "big") + data
    return bytes((0x80 | opcode, 127)) + len(data).to_bytes(8, "big") + data


class TextFrames:
    """The framing: each write is a text message, and a close frame of code 1000 ends the body."""

    last = frame(_CLOSE, (1000).to_bytes(2, "big"))

    def frame(self, data: bytes) -> bytes:
        return frame(_TEXT, data)


TEXT_FRAMES = TextFrames()


class WebSocketConnection(asyncio.Protocol):
    """The connection; `serve` is called with it and the request's target after the handshake."""

    framing: Final = TEXT_FRAMES

    def __init__(self, serve: Callable[[Connection, str], Any]) -> None:
        self.listener: Listener | None = None
        self.full = False
        self._serve = serve
        self._received = b""
        self._open = False
        self._closing = False

    @property
    def buffered(self) -> int:
        return self._transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        if data:
            self.write_framed(self.framing.frame(data))

    def write_framed(self, data: bytes) -> None:
        if not self._closing and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Says goodbye; the client's goodbye, or its absence, ends the connection."""
        self.write_framed(self.framing.last)
        self._closing = True
        asyncio.get_running_loop().call_later(PATIENCE, self._transport.abort)

    def abort(self) -> None:
        self._transport.abort()

    # The callbacks of asyncio.

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.Transport = transport
        transport.set_write_buffer_limits(high=HIGH_WATER, low=LOW_WATER)

    def connection_lost(self, error: Exception | None) -> None:
        listener, self.listener = self.listener, None
        if listener is not None:
            listener.on_close()

    def pause_writing(self) -> None:
        self.full = True
        if self.listener is not None:
            self.listener.on_full()

    def resume_writing(self) -> None:
        self.full = False
        if self.listener is not None:
            self.listener.on_writable()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._open and b"\r\n\r\n" in self._received:
            self._shake_hands()
        while self._open and (message := self._client_frame()) is not None:
            self._answer(*message)

    def _shake_hands(self) -> None:
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        request, *lines = head.decode().split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        proof = hashlib.sha1(headers["sec-websocket-key"].encode() + _GUID).digest()
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n\r\n" % base64.b64encode(proof)
        )
        self._open = True
        self._serve(self, request.split()[1])

    def _client_frame(self) -> tuple[int, bytes] | None:
        """Opcode and content of a frame that is all there, if its length is short."""
        data = self._received
        if len(data) < 6 or len(data) < 6 + (size := data[1] & 0x7F):
            return None
        mask, content, self._received = data[2:6], data[6 : 6 + size], data[6 + size :]
        return data[0] & 0x0F, bytes(b ^ mask[n % 4] for n, b in enumerate(content))

    def _answer(self, opcode: int, content: bytes) -> None:
        if opcode == _PING:
            self.write_framed(frame(_PONG, content))
        elif opcode == _CLOSE:
            self.write_framed(frame(_CLOSE, content[:2]))
            self._transport.close()


@dataclass
class Hub:
    journal: MemoryJournal
    broadcast: Broadcast
    limits: Limits
    drain: Drain
    port: int = 0

    def serve(self, connection: Connection, target: str) -> None:
        self.task = asyncio.create_task(self._subscribe(connection, target))

    async def _subscribe(self, connection: Connection, target: str) -> None:
        query = parse_qs(urlsplit(target).query)
        topics = Topics(frozenset(query["topic"]))
        after = await self.broadcast.locate(query.get("after", [""])[0], topics)
        with self.limits.admit() as permit:
            # The line of registration: a response hands its connection over in the same way.
            self.broadcast.response(permit, topics, after=after).open(connection)

    async def publish(self, *texts: str) -> None:
        await self.journal.append([NewEntry("t", text) for text in texts])


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    journal, drain = MemoryJournal(), Drain(0.0, 0.1)
    broadcast = Broadcast(journal, NoStreamMeter(), StreamPolicy(), drain)
    hub = Hub(journal, broadcast, Limits(drain), drain)
    async with broadcast.run():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: WebSocketConnection(hub.serve), "127.0.0.1", 0)
        hub.port = server.sockets[0].getsockname()[1]
        yield hub
        server.close()
        await eventually(lambda: hub.limits.open == 0)


class Client:
    """A subscriber: wsproto over a socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.protocol = WSConnection(ConnectionType.CLIENT)
        self.parser = sse.Parser()
        self.seen: list[sse.Event] = []
        self.accepted = False
        self.ponged = b""
        self.code: int | None = None

    def send(self, event: Any) -> None:
        self.writer.write(self.protocol.send(event))

    async def events(self, count: int) -> list[str]:
        """The data of the next events."""
        await self.until(lambda: len(self.seen) >= count)
        taken, self.seen = self.seen[:count], self.seen[count:]
        return [event.data for event in taken]

    async def until(self, done: Callable[[], Any]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not done():
                data = await self.reader.read(65536)
                self.protocol.receive_data(data or None)
                for event in self.protocol.events():
                    self._take(event)

    def _take(self, event: Any) -> None:
        match event:
            case AcceptConnection():
                self.accepted = True
            case TextMessage():
                self.seen += self.parser.feed(event.data.encode())
            case Pong():
                self.ponged = bytes(event.payload)
            case CloseConnection():
                self.code = event.code
                if self.protocol.state.name == "REMOTE_CLOSING":
                    self.send(event.response())
            case RejectConnection():
                raise AssertionError(f"refused with {event.status_code}")


@asynccontextmanager
async def connected(hub: Hub, target: str, limit: int = 65536) -> AsyncIterator[Client]:
    client = Client(*await asyncio.open_connection("127.0.0.1", hub.port, limit=limit))
    before = len(hub.broadcast.subscribers)
    client.send(Request(host="127.0.0.1", target=target))
    await client.until(lambda: client.accepted)
    await eventually(lambda: len(hub.broadcast.subscribers) > before)
    try:
        yield client
    finally:
        client.writer.transport.abort()


async def test_a_broadcast_delivers_to_it(hub: Hub) -> None:
    async with connected(hub, "/?topic=t") as one, connected(hub, "/?topic=t") as two:
        await hub.publish("first", "naïve 🜁", "x" * 70_000)
        await hub.journal.append([NewEntry("other", "not this"), NewEntry("t", "last")])
        for client in (one, two):
            assert await client.events(4) == ["first", "naïve 🜁", "x" * 70_000, "last"]


async def test_a_client_that_was_cut_off_resumes(hub: Hub) -> None:
    async with connected(hub, "/?topic=t") as client:
        await hub.publish("1", "2")
        assert await client.events(2) == ["1", "2"]
    await eventually(lambda: not hub.broadcast.subscribers)
    await hub.publish("3", "4")
    target = f"/?topic=t&after={client.parser.last_event_id}"
    async with connected(hub, target) as client:
        await hub.publish("5")
        assert await client.events(3) == ["3", "4", "5"]


async def test_a_slow_client_catches_up_and_misses_nothing(hub: Hub) -> None:
    texts = [f"{number} {'x' * 5000}" for number in range(2000)]
    async with connected(hub, "/?topic=t", limit=4096) as client:
        [subscriber] = hub.broadcast.subscribers
        for text in texts:
            await hub.publish(text)
            await asyncio.sleep(0)
        assert subscriber.connection.buffered < 2 * HIGH_WATER + 70_000
        assert await client.events(2000) == texts


async def test_a_ping_is_answered_and_a_client_may_close(hub: Hub) -> None:
    async with connected(hub, "/?topic=t") as client:
        client.send(Ping(b"are you there?"))
        await client.until(lambda: client.ponged)
        assert client.ponged == b"are you there?"
        client.send(CloseConnection(code=1000))
        await client.until(lambda: client.code)
        assert client.code == 1000
        await eventually(lambda: not hub.broadcast.subscribers)


async def test_a_process_that_stops_ends_it_cleanly(hub: Hub) -> None:
    async with connected(hub, "/?topic=t") as client:
        draining = asyncio.create_task(hub.drain.run())
        await client.until(lambda: client.code)
        assert client.code == 1000
        assert client.parser.retry is not None
        await draining
