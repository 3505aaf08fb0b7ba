"""A detached connection on its socket alone: asyncio's transport would be most of an idle
stream's cost (measured: it takes 3.0 kB in Python 3.13, where its empty buffer is a deque).
"""

import asyncio
import contextvars
import socket
from typing import Any, Final, Literal

from eddyline.connection.base import HIGH_WATER, LOW_WATER, Framing, Listener, framed
from eddyline.connection.transport import (
    LINGER,
    TransportConnection,
    bound_kernel_buffers,
    reset_on_close,
)

#: Bytes that the client sends and nobody wants: so many are taken at once.
DROPPED = 64 * 1024

#: Pieces that are sent by one call; the system takes 1,024 (IOV_MAX).
PIECES = 64

#: Callbacks keep the context that they are registered in: not that of a request.
_NO_REQUEST = contextvars.Context()

#: The protocol that a transport which is let go tells of its end.
_NOBODY = asyncio.Protocol()


class Unsent:
    """Bytes that wait for a slow peer, by reference: a large event that a thousand do not read is
    there once.
    """

    __slots__ = ("_pieces", "_sent", "size")

    def __init__(self, data: bytes, sent: int) -> None:
        self.size: int = len(data) - sent
        self._pieces = [data]  # a deque takes 0.7 kB, and there are never many
        #: Bytes of the first piece that the kernel has.
        self._sent = sent

    def add(self, data: bytes) -> None:
        self._pieces.append(data)
        self.size += len(data)

    def buffers(self) -> list[memoryview | bytes]:
        """The next bytes, in as many pieces as one call may take."""
        return [memoryview(self._pieces[0])[self._sent :], *self._pieces[1:PIECES]]

    def taken(self, sent: int) -> None:
        """The kernel has taken so many bytes."""
        self.size -= sent
        self._sent += sent
        while self._pieces and self._sent >= len(self._pieces[0]):
            self._sent -= len(self._pieces.pop(0))


class SocketConnection:
    """All that is left of a request while its stream is open: a socket and its writer.

    It joins `peers`, the server's set of connections, so that a server that stops still sees and
    waits for it.
    """

    __slots__ = ("_peers", "_socket", "_state", "_unsent", "framing", "full", "listener")

    def __init__(self, sock: socket.socket, peers: set[Any], framing: Framing) -> None:
        self._socket = sock
        self._peers = peers
        self._state: Literal["open", "closing", "closed"] = "open"
        #: Bytes that the kernel has not taken; None where it takes all.
        self._unsent: Unsent | None = None
        self.framing: Final = framing
        self.full: bool = False
        self.listener: Listener | None = None
        peers.add(self)
        bound_kernel_buffers(sock)
        loop = asyncio.get_running_loop()
        _NO_REQUEST.run(loop.add_reader, sock.fileno(), self._on_readable)

    @property
    def buffered(self) -> int:
        return self._unsent.size if self._unsent is not None else 0

    def write(self, data: bytes) -> None:
        if data:
            self.write_framed(framed(self.framing, data))

    def write_framed(self, data: bytes) -> None:
        if self._state != "open":
            return
        if self._unsent is not None:
            self._unsent.add(data)
        else:
            try:
                sent = self._socket.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._drop()
                return
            if sent == len(data):
                return
            self._unsent = Unsent(data, sent)
            loop = asyncio.get_running_loop()
            _NO_REQUEST.run(loop.add_writer, self._socket.fileno(), self._on_sendable)
        if self._unsent.size > HIGH_WATER and not self.full:
            self.full = True
            if self.listener is not None:
                self.listener.on_full()

    def close(self, last: bytes = b"") -> None:
        end = (framed(self.framing, last) if last else b"") + self.framing.last
        if end:
            self.write_framed(end)
        self._end()

    def cut(self) -> None:
        if self.framing.last:
            self._end()
        else:
            self.abort()

    def abort(self) -> None:
        if self._state != "closed":
            reset_on_close(self._socket)
            self._drop()

    def shutdown(self) -> None:
        """Called by uvicorn when it stops; it waits until the connection has left `peers`."""
        if self.listener is None or not self.listener.on_shutdown():
            self.close()

    # Called by the event loop.

    def _on_readable(self) -> None:
        """Bytes that the client sends are dropped unparsed: no pipelined response can land inside
        a stream.
        """
        try:
            if not self._socket.recv(DROPPED):
                self._end()
        except BlockingIOError:
            pass
        except OSError:
            self._drop()

    def _on_sendable(self) -> None:
        assert self._unsent is not None
        try:
            sent = self._socket.sendmsg(self._unsent.buffers())
        except BlockingIOError:
            return
        except OSError:
            self._drop()
            return
        self._unsent.taken(sent)
        if self.full and self.buffered <= LOW_WATER:
            self.full = False
            if self.listener is not None:
                self.listener.on_writable()
        if not self._unsent.size:
            self._unsent = None
            asyncio.get_running_loop().remove_writer(self._socket.fileno())
            if self._state == "closing":
                self._drop()

    # The end.

    def _end(self) -> None:
        """Once all unsent bytes are sent, or LINGER has passed."""
        if self._state != "open":
            return
        self._state = "closing"
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket.fileno())
        if self._unsent is None:
            self._drop()
        else:
            loop.call_later(LINGER, self._drop)

    def _drop(self) -> None:
        if self._state == "closed":
            return
        self._state = "closed"
        self._unsent = None
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket.fileno())
        loop.remove_writer(self._socket.fileno())
        # In a turn of its own: this may run in the midst of a write to a whole audience.
        loop.call_soon(self._closed)

    def _closed(self) -> None:
        self._socket.close()
        self._peers.discard(self)
        listener, self.listener = self.listener, None
        if listener is not None:
            listener.on_close()


def take_over(
    transport: asyncio.Transport, peers: set[Any], framing: Framing, full: bool
) -> SocketConnection | TransportConnection:
    """A connection whose transport is nobody else's any more."""
    own = _own_socket(transport)
    if own is None:
        return TransportConnection(transport, peers, framing, full)
    # It closes its own descriptor of the socket. Not by `abort`, which would leave it to the
    # garbage collector (as either does in Python 3.11).
    transport.set_protocol(_NOBODY)
    transport.close()
    return SocketConnection(own, peers, framing)


def _own_socket(transport: asyncio.Transport) -> socket.socket | None:
    """A duplicate of the socket; None where TLS or unsent bytes need the transport."""
    sock = transport.get_extra_info("socket")
    under_tls = transport.get_extra_info("sslcontext") is not None
    if sock is None or under_tls or transport.get_write_buffer_size():
        return None
    try:
        own: socket.socket = sock.dup()
    except OSError:  # as many files are open as may be
        return None
    return own
