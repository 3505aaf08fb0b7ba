"""Connections: where the bytes of a stream go, whatever the server.

A response that streams to a `Broadcast` **detaches**: it sends its head, takes the transport over
and returns, so that
nothing of the request stays in memory. Where the server cannot do that, `AsgiConnection` behaves
the same.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

#: The key in `scope["extensions"]` under which `server.StreamProtocol` puts a `ResponseTransport`.
EXTENSION = "millrace.connection"

#: Bytes that a connection may hold for a slow peer before it counts as full, and when it is
#: writable again.
HIGH_WATER = 32 * 1024
LOW_WATER = 8 * 1024


class StreamClosed(ConnectionError):
    """The peer has left, or was cut off."""


class StreamStalled(StreamClosed):
    """The peer took no byte for the whole of the write timeout."""


class Listener(Protocol):
    """Who writes to a connection and must know how it fares. Callbacks run in the event loop
    and never block.
    """

    def on_full(self) -> None:
        """More than `HIGH_WATER` bytes wait for the peer: write no more."""

    def on_writable(self) -> None:
        """Fewer than `LOW_WATER` bytes wait."""

    def on_close(self) -> None:
        """Once: the peer left, or `close` or `abort` has done its work."""


class Connection(Protocol):
    """The body of one response. Writing never blocks; framing is the connection's business."""

    listener: Listener | None

    @property
    def full(self) -> bool:
        """Whether more than `HIGH_WATER` bytes wait for the peer."""

    @property
    def buffered(self) -> int:
        """Bytes written and not yet taken by the kernel."""

    @property
    def chunked(self) -> bool:
        """Whether `write_framed` wants chunks (`frame_chunk`) or bare bytes."""

    def write(self, data: bytes) -> None:
        """Hands over bytes of the body."""

    def write_framed(self, data: bytes) -> None:
        """Hands over bytes that are framed already: one framing serves a whole audience."""

    def close(self) -> None:
        """Ends the body cleanly, after what was written."""

    def abort(self) -> None:
        """Ends it at once, so that the client sees an error."""


class ResponseTransport(Protocol):
    """What `StreamProtocol` offers to the response of one request, in its ASGI scope."""

    @property
    def buffered(self) -> int:
        """Bytes written and not yet taken by the kernel."""

    @property
    def idle(self) -> bool:
        """Whether the peer is there, and a write goes to the kernel at once: nothing waits."""

    def acked(self) -> int:
        """Bytes that the peer has acknowledged on this connection; -1 where the system does not
        tell.
        """

    async def send_file(
        self, file: int, offset: int, count: int, stall_timeout: float = 60.0
    ) -> None:
        """Sends `count` bytes of an open file as body, by sendfile(2) where it can.

        Raises StreamStalled after `stall_timeout` seconds without progress, StreamClosed when the
        peer left or the
        file ends early; the connection is gone then.
        """

    @property
    def detachable(self) -> bool:
        """Whether `detach` would succeed."""

    def detach(self) -> Connection | None:
        """Takes the transport over, once the head is sent; None where the response must stay
        attached.
        """

    def abort(self) -> None:
        """Resets the connection, also while the request's body is still coming."""


def frame_chunk(data: bytes) -> bytes:
    """One chunk of HTTP/1.1's chunked coding (RFC 9112 §7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class AsgiConnection:
    """A connection on any ASGI server: one bounded buffer and one task, that of the request."""

    chunked = False

    def __init__(self) -> None:
        self.listener: Listener | None = None
        self.full = False
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._wake = asyncio.Event()
        self._ending = False
        self._aborted = asyncio.Event()

    @property
    def buffered(self) -> int:
        return self._size

    def write(self, data: bytes) -> None:
        if self._ending or not data:
            return
        self._chunks.append(data)
        self._size += len(data)
        self._wake.set()
        if self._size > HIGH_WATER and not self.full:
            self.full = True
            if self.listener is not None:
                self.listener.on_full()

    def write_framed(self, data: bytes) -> None:
        self.write(data)

    def close(self) -> None:
        self._ending = True
        self._wake.set()

    def abort(self) -> None:
        self._ending = True
        self._aborted.set()

    async def run(self, receive: Receive, send: Send) -> None:
        """Carries bytes until the body ends or the client leaves."""
        tasks = {
            asyncio.create_task(self._pump(send)),
            asyncio.create_task(self._client_leaves(receive)),
            asyncio.create_task(self._aborted_is_set()),
        }
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._ending = True
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            listener, self.listener = self.listener, None
            if listener is not None:
                listener.on_close()

    async def _pump(self, send: Send) -> None:
        while self._chunks or not self._ending:
            await self._wake.wait()
            self._wake.clear()
            while self._chunks:
                data = self._chunks.popleft()
                await send({"type": "http.response.body", "body": data, "more_body": True})
                self._taken(len(data))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _taken(self, size: int) -> None:
        self._size -= size
        if self.full and self._size < LOW_WATER:
            self.full = False
            if self.listener is not None:
                self.listener.on_writable()

    async def _client_leaves(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _aborted_is_set(self) -> None:
        await self._aborted.wait()


class StreamResponse(Response):
    """A response whose body is written by whoever `open` hands its connection to.

    `open` is called once, after the head is sent; `abandon` instead where there is no body (HEAD, a
    failed send).
    """

    def __init__(
        self,
        open: Callable[[Connection], None],
        abandon: Callable[[], None],
        media_type: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.open = open
        self.abandon = abandon
        self.status_code = 200
        self.media_type = media_type
        self.background = None
        # No `self.body`: Starlette would take its length for the Content-Length.
        self.init_headers(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport: ResponseTransport | None = scope.get("extensions", {}).get(EXTENSION)
        detach = transport is not None and transport.detachable and scope["method"] != "HEAD"
        headers = list(self.raw_headers)
        if detach:
            # The transport is not handed back: the client must not send another request on it.
            headers.append((b"connection", b"close"))
        opened = False
        try:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            if scope["method"] == "HEAD":
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            opened = True
            connection = transport.detach() if transport is not None and detach else None
            if connection is not None:
                self.open(connection)
            else:
                attached = AsgiConnection()
                self.open(attached)
                await attached.run(receive, send)
        finally:
            if not opened:
                self.abandon()
