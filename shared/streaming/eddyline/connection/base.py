"""Connections: where the bytes of a stream go, on any server.

A response that streams to a `Broadcast` **detaches**: it sends its head, takes the transport over
and returns, so that nothing of the request stays in memory. Where the server cannot do that,
`AsgiConnection` behaves the same.
"""

from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Protocol

#: The key in `scope["extensions"]` under which `server.StreamProtocol` puts a `ResponseTransport`.
EXTENSION = "eddyline.connection"

#: Bytes that a connection may hold for a slow peer before it counts as full, and when it is
#: writable again.
HIGH_WATER = 32 * 1024
LOW_WATER = 8 * 1024


class StreamClosed(ConnectionError):
    """The peer has left, or was cut off."""


class StreamStalled(StreamClosed):
    """The peer took no byte for the whole of the write timeout."""


class Listener(Protocol):
    """The writer of a connection, which must know how it fares. Callbacks run in the event loop
    and never block.
    """

    def on_full(self) -> None:
        """More than `HIGH_WATER` bytes wait for the peer: write no more."""

    def on_writable(self) -> None:
        """Fewer than `LOW_WATER` bytes wait."""

    def on_close(self) -> None:
        """Once: the peer left, or `close` or `abort` has done its work."""

    def on_shutdown(self) -> bool:
        """The server stops. True: the body is ended by its writer, and soon; False: close it."""


class Framing(Hashable, Protocol):
    """How the bytes of a body stand on the wire. Stateless and shared: one framing of a write
    serves all connections that have the same framing. Hashable.
    """

    @property
    def last(self) -> bytes:
        """The bytes that end a body cleanly."""

    def frame(self, data: bytes) -> bytes:
        """The bytes on the wire of one write; `data` is not empty."""


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
    def framing(self) -> Framing:
        """How `write_framed` wants its bytes."""

    def write(self, data: bytes) -> None:
        """Hands over bytes of the body."""

    def write_framed(self, data: bytes) -> None:
        """Hands over bytes that are framed already: one framing serves a whole audience."""

    def close(self, last: bytes = b"") -> None:
        """Ends the body cleanly, after all bytes that were written, and `last`: they travel with
        the end, so that a client which leaves once it has them has seen the end, too.
        """

    def cut(self) -> None:
        """Ends the body after all bytes that were written, without its regular end: the client can
        tell, and has them all. Where the body has no framing only `abort` can do that.
        """

    def abort(self) -> None:
        """Ends it at once, so that the client sees an error."""


class ResponseTransport(Protocol):
    """The offer of `StreamProtocol` to the response of one request, in its ASGI scope."""

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
        self,
        file: int,
        offset: int,
        count: int,
        stall_timeout: float = 60.0,
        on_slice: Callable[[int], None] = lambda size: None,
    ) -> None:
        """Sends `count` bytes of an open file as body, by sendfile(2) where it can. Returns once
        they have left the socket: until then they are those of the file.

        `on_slice` is called with the bytes of each slice once it is sent; an error in it ends the
        sending. Raises StreamStalled after `stall_timeout` seconds without progress, StreamClosed
        when the peer left or the file ends early; the connection is gone then.
        """

    @property
    def detachable(self) -> bool:
        """Whether `detach` would succeed."""

    def corked(self) -> AbstractContextManager[None]:
        """Bytes that are written within the block travel together, at its end: a head and the
        first bytes of its body cost one packet.
        """

    def detach(self) -> Connection | None:
        """Takes the transport over, once the head is sent; None where the response must stay
        attached.
        """

    def abort(self) -> None:
        """Resets the connection, also while the request's body is still coming."""


class Chunked:
    """HTTP/1.1's chunked coding (RFC 9112 §7.1)."""

    last = b"0\r\n\r\n"

    def frame(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data)


class Bare:
    """The bytes as they are: the body ends with the connection, or the server frames it."""

    last = b""

    def frame(self, data: bytes) -> bytes:
        return data


CHUNKED: Framing = Chunked()
BARE: Framing = Bare()


def framed(framing: Framing, data: bytes) -> bytes:
    """`framing.frame(data)`. A large write that many connections get one after the other is framed
    once, and waits for all of them in the same place.
    """
    return _framed_once(framing, data) if len(data) > HIGH_WATER else framing.frame(data)


@lru_cache(4)
def _framed_once(framing: Framing, data: bytes) -> bytes:
    return framing.frame(data)
