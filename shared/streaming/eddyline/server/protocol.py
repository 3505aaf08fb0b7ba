"""uvicorn's HTTP/1.1 protocol, whose responses can take their connection over."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Self

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from eddyline.connection.base import BARE, CHUNKED, EXTENSION, Connection, StreamClosed
from eddyline.connection.sendfile import (
    PIECE,
    acked,
    cached,
    can_sendfile,
    corked,
    read_slice,
    sendfile_now,
    sendfile_slice,
    slices,
    unless_stalled,
    until_sent,
)
from eddyline.connection.socket import take_over
from eddyline.connection.transport import reset
from eddyline.server.bounded import BoundedProtocol
from eddyline.server.intake import has_body

#: Seconds that a new connection gets to bring its first request when the server stops.
FIRST_REQUEST = 0.5


class StreamProtocol(BoundedProtocol):
    """uvicorn's HTTP/1.1 protocol, which offers a `ResponseTransport` to each response."""

    # Its own and uvicorn's types, said again: some checkers infer those of the values below.
    cycle: RequestResponseCycle
    running: RequestResponseCycle | None = None

    _stopping = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            # asyncio does so for the sockets of its own listeners only. On any other a head would
            # be acknowledged, some 40 ms later, before its body leaves (Nagle).
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        extensions: Any = {EXTENSION: HttpTransport(self, self.scope)}
        self.scope["extensions"] = extensions

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self._stopping:
            self.cycle.keep_alive = False

    def connection_lost(self, exc: Exception | None) -> None:
        # uvicorn tells only `cycle`: a stream with a request behind it would never end.
        if self.running is not None and not self.running.response_complete:
            self.running.disconnected = True
            self.running.message_event.set()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Called when the server stops: uvicorn closes idle connections, and lets answers finish.

        A connection that has only just been accepted is not idle: its first request is on its way,
        and its client could not tell a refusal from a crash.
        """
        if self.cycle is None:
            self._stopping = True
            self.loop.call_later(FIRST_REQUEST, self._close_if_idle)
        else:
            super().shutdown()

    def _close_if_idle(self) -> None:
        if self.cycle is None and self in self.connections:  # not one that has detached
            self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        new = cycle
        if cycle.scope["http_version"] == "1.0":
            new = UnframedCycle.from_cycle(cycle)
        elif has_body(cycle.scope["headers"]):
            new = BodyCycle.from_cycle(cycle)
        if isinstance(new, BodyCycle):
            new.linger = self.linger
            if self.cycle is cycle:
                self.cycle = new
        self.running = new
        super()._start_asgi_task(new, app)


class BodyCycle(RequestResponseCycle):
    """An answer that may come before the whole request: the connection then ends slowly."""

    linger: Callable[[], None] | None = None

    @classmethod
    def from_cycle(cls, cycle: RequestResponseCycle) -> Self:
        new = cls.__new__(cls)
        vars(new).update(vars(cycle))
        return new

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            if self.more_body and message["status"] >= 400:
                self.keep_alive: bool = False
            return await super().send(message)
        early = self.more_body and not self.keep_alive and not message.get("more_body", False)
        # Else uvicorn closes the connection, and the client's next bytes are answered by a reset.
        self.keep_alive = self.keep_alive or early
        await super().send(message)
        linger = self.linger
        if self.response_complete:
            self.linger = None
            if early and linger is not None and not self.disconnected:
                linger()


class UnframedCycle(BodyCycle):
    """HTTP/1.0 knows no chunks, though uvicorn sends them: here the body ends where the
    connection does.
    """

    unframed: bool = False

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            names = (name.lower() for name, _ in message.get("headers", []))
            self.unframed = b"content-length" not in names
            if self.unframed:
                # To uvicorn a HEAD response has neither framing nor a length to keep.
                self.scope: Any = {**self.scope, "method": "HEAD"}
        elif self.unframed and message["type"] == "http.response.body":
            await self.flow.drain()
            if not self.disconnected:
                self.transport.write(message.get("body", b""))
        await super().send(message)


class HttpTransport:
    """The `ResponseTransport` of one request on a `StreamProtocol`."""

    __slots__ = ("_protocol", "_scope")

    def __init__(self, protocol: StreamProtocol, scope: Any) -> None:
        self._protocol = protocol
        self._scope = scope

    @property
    def buffered(self) -> int:
        return self._protocol.transport.get_write_buffer_size()

    @property
    def idle(self) -> bool:
        return self.detachable and self.buffered == 0

    def acked(self) -> int:
        return acked(self._protocol.transport)

    async def send_file(
        self,
        file: int,
        offset: int,
        count: int,
        stall_timeout: float = 60.0,
        on_slice: Callable[[int], None] = lambda size: None,
    ) -> None:
        with corked(self._protocol.transport):
            for start, size in slices(offset, count):
                await self._send_slice(file, start, size, stall_timeout)
                on_slice(size)
        if can_sendfile(self._protocol.transport):
            await until_sent(self._protocol.transport, stall_timeout)

    async def _send_slice(self, file: int, offset: int, count: int, stall_timeout: float) -> None:
        cycle, transport = self._protocol.running, self._protocol.transport
        assert cycle is not None
        while count > 0:
            if cycle.disconnected or transport.is_closing():
                cycle.disconnected = True
                raise StreamClosed("the peer left")
            try:
                sent = await self._send_some(file, offset, count, stall_timeout)
            except BaseException:
                # Else uvicorn logs a response that was not completed, for each client that leaves.
                cycle.disconnected = True
                raise
            cycle.expected_content_length -= sent
            offset, count = offset + sent, count - sent

    async def _send_some(self, file: int, offset: int, count: int, stall_timeout: float) -> int:
        transport = self._protocol.transport
        # Only bytes that are in memory: sendfile(2) would wait for a disk, and all streams with it.
        native = can_sendfile(transport)
        ready = await cached(file, offset, min(count, PIECE)) if native else 0
        if ready and (sent := sendfile_now(transport, file, offset, ready)):
            await asyncio.sleep(0)
            return sent
        if ready:
            count = ready
            work = sendfile_slice(transport, file, offset, count)
        else:
            work = read_slice(transport, self._protocol.flow.drain, file, offset, count)
        sent = await unless_stalled(transport, work, stall_timeout)
        if sent < count:
            reset(transport)
            raise StreamClosed(f"the file ended at byte {offset + sent}, while it was sent")
        return sent

    @property
    def detachable(self) -> bool:
        protocol = self._protocol
        cycle = protocol.cycle
        return (
            cycle is not None
            # Another request has begun on this connection, or waits: its bytes are in the parser
            # already.
            and protocol.scope is self._scope
            and not protocol.pipeline
            and not cycle.more_body
            and not cycle.disconnected
            and not protocol.transport.is_closing()
        )

    def corked(self) -> AbstractContextManager[None]:
        return corked(self._protocol.transport)

    def detach(self) -> Connection | None:
        if not self.detachable:
            return None
        protocol = self._protocol
        cycle, transport, flow = protocol.cycle, protocol.transport, protocol.flow
        protocol._unset_keepalive_if_required()
        protocol.connections.discard(protocol)
        protocol.server_state.total_requests += 1
        # The cycle is over for uvicorn: it neither closes the transport nor logs an incomplete
        # response.
        cycle.disconnected = True
        flow.resume_reading()
        framing = CHUNKED if cycle.chunked_encoding else BARE
        connection = take_over(transport, protocol.connections, framing, flow.write_paused)
        # They refer to each other: without this the request would wait for the garbage collector.
        protocol.parser = protocol.scope = protocol.flow = None  # type: ignore[assignment]
        protocol.cycle = protocol.running = None  # type: ignore[assignment]
        self._scope = None
        return connection

    def abort(self) -> None:
        protocol = self._protocol
        if protocol.scope is self._scope and protocol.cycle is not None:
            protocol.cycle.disconnected = True
            reset(protocol.transport)
