"""A detached connection on an asyncio transport, and files sent through one."""

import asyncio
import socket
import struct
import sys
from typing import Any, Final

from eddyline.connection.base import (
    HIGH_WATER,
    LOW_WATER,
    Framing,
    Listener,
)

#: Seconds that a stream which has ended may take to flush bytes that its peer has not read.
LINGER = 5.0


# Without it the kernel takes 3-4 MiB from a sender whose reader has stalled, and `buffered` lies
# (measured).
_NOTSENT_LOWAT = (socket.IPPROTO_TCP, 25, 16 * 1024)
# Ends peers that vanished without a word in a minute instead of a quarter of an hour. Milliseconds;
# a little above the
# default write timeout, so that a peer which merely stalls is ended by that, and counted.
_USER_TIMEOUT = (socket.IPPROTO_TCP, 18, 75_000)

_LINUX = sys.platform == "linux"


class TransportConnection(asyncio.Protocol):
    """All that is left of a request while its stream is open: a transport and its writer.

    It joins `peers`, the server's set of connections, so that a server that stops still sees and
    waits for it.
    """

    __slots__ = ("_peers", "_transport", "framing", "full", "listener")

    def __init__(
        self, transport: asyncio.Transport, peers: set[Any], framing: Framing, full: bool
    ) -> None:
        self._transport = transport
        self._peers = peers
        self.framing: Final = framing
        self.full: bool = full
        self.listener: Listener | None = None
        peers.add(self)
        transport.set_protocol(self)
        transport.set_write_buffer_limits(high=HIGH_WATER, low=LOW_WATER)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            bound_kernel_buffers(sock)

    @property
    def buffered(self) -> int:
        return self._transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        if data and not self._transport.is_closing():
            self._transport.write(self.framing.frame(data))

    def write_framed(self, data: bytes) -> None:
        self._transport.write(data)

    def close(self, last: bytes = b"") -> None:
        end = (self.framing.frame(last) if last else b"") + self.framing.last
        if end and not self._transport.is_closing():
            self._transport.write(end)
        self._end()

    def cut(self) -> None:
        if self.framing.last:
            self._end()
        else:
            self.abort()

    def _end(self) -> None:
        transport = self._transport
        if transport.is_closing():
            return
        transport.close()
        if transport.get_write_buffer_size():
            asyncio.get_running_loop().call_later(LINGER, transport.abort)

    def abort(self) -> None:
        reset(self._transport)

    def shutdown(self) -> None:
        """Called by uvicorn when it stops; it waits until the connection has left `peers`."""
        if self.listener is None or not self.listener.on_shutdown():
            self.close()

    # Called by asyncio. Bytes that the client sends are dropped unparsed (`data_received` does
    # nothing): no pipelined response can land inside a stream.

    def connection_lost(self, exc: Exception | None) -> None:
        self._peers.discard(self)
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


def reset(transport: asyncio.WriteTransport) -> None:
    """Ends a connection by RST: after a FIN, a body without framing (HTTP/1.0) would look whole."""
    sock = transport.get_extra_info("socket")
    if sock is not None and not transport.is_closing():
        reset_on_close(sock)
    transport.abort()


def reset_on_close(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def bound_kernel_buffers(sock: socket.socket) -> None:
    if _LINUX and sock.family != socket.AF_UNIX:
        sock.setsockopt(*_NOTSENT_LOWAT)
        sock.setsockopt(*_USER_TIMEOUT)
