"""The connections to one server, in a free list: nothing walks over those that are busy."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from eddyline_chat.client.base import Fault, Head, Receiver, Unreachable
from eddyline_chat.client.connection import Connection
from eddyline_chat.client.origin import Origin

#: Connections that are kept though nobody uses them, and for how many seconds. Servers close idle
#: ones, too: a request that meets such an end is lost.
_FREE_MOST = 100
_FREE_SECONDS = 5.0


class Pool:
    """Connections to one server; the one that was used last is asked first.

    `counted` is told the number of open connections, idle ones too.
    """

    def __init__(
        self, origin: Origin, connect_timeout: float, counted: Callable[[int], None]
    ) -> None:
        self.origin = origin
        self._connect_timeout = connect_timeout
        self._counted = counted
        self._open: set[Connection] = set()
        self._free: dict[Connection, asyncio.TimerHandle] = {}
        #: The event loop itself holds its tasks weakly.
        self._connecting: set[asyncio.Task[None]] = set()

    def send(self, request: bytes, receiver: Receiver) -> "Exchange":
        """Sends a request; `receiver` gets the response, until `close` of the exchange."""
        exchange = Exchange(self, request, receiver)
        if (connection := self._take()) is not None:
            exchange.begin(connection, reused=True)
        else:
            exchange.connecting = self.connect(exchange)
        return exchange

    def connect(self, exchange: "Exchange") -> asyncio.Task[None]:
        """Makes a connection for `exchange`; its task may be cancelled at any time."""
        task = asyncio.create_task(self._connect(exchange))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        return task

    def close(self) -> None:
        """Closes all connections."""
        for task in self._connecting:
            task.cancel()
        for connection in list(self._open):
            connection.transport.abort()

    async def _connect(self, exchange: "Exchange") -> None:
        origin = self.origin
        try:
            async with asyncio.timeout(self._connect_timeout):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: Connection(self), origin.host, origin.port, ssl=origin.tls
                )
        except TimeoutError:
            exchange.on_end(Unreachable("it took too long to connect"))
        except (OSError, UnicodeError) as error:
            exchange.on_end(Unreachable(repr(error)))
        else:
            exchange.begin(connection, reused=False)

    def _take(self) -> Connection | None:
        while self._free:
            connection, timer = self._free.popitem()
            timer.cancel()
            if not connection.transport.is_closing():
                return connection
        return None

    # Called by connections.

    def opened(self, connection: Connection) -> None:
        self._open.add(connection)
        self._counted(len(self._open))

    def lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._counted(len(self._open))
        if (timer := self._free.pop(connection, None)) is not None:
            timer.cancel()

    def free(self, connection: Connection) -> None:
        if len(self._free) >= _FREE_MOST:
            connection.transport.abort()
            return
        loop = asyncio.get_running_loop()
        self._free[connection] = loop.call_later(_FREE_SECONDS, connection.transport.abort)


class Exchange:
    """One request and its response. `close` ends it at any time, and at once."""

    def __init__(self, pool: Pool, request: bytes, receiver: Receiver) -> None:
        self.connecting: asyncio.Task[None] | None = None
        self._pool = pool
        self._request = request
        self._receiver: Receiver | None = receiver
        self._connection: Connection | None = None
        self._paused = False
        #: Nothing has come over a connection that was used before: its server may have closed it
        #: before the request arrived.
        self._perhaps_lost = False

    def begin(self, connection: Connection, *, reused: bool) -> None:
        """Called once there is a connection."""
        if self._receiver is None:
            connection.abort()
            return
        self._connection, self._perhaps_lost, self.connecting = connection, reused, None
        if self._paused:
            connection.transport.pause_reading()
        connection.ask(self._request, self)

    def pause(self) -> None:
        """Reads no more: the server has to wait."""
        self._paused = True
        if self._connection is not None:
            self._connection.transport.pause_reading()

    def resume(self) -> None:
        self._paused = False
        if self._connection is not None:
            self._connection.transport.resume_reading()

    def close(self) -> None:
        """Closes the connection, unless the response is whole. The receiver is told nothing."""
        self._receiver = None
        if self.connecting is not None:
            self.connecting.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()

    def leave(self, seconds: float) -> None:
        """Wants no more of the response: the connection is free where its end comes in time."""
        self._receiver = None
        if self._connection is not None:
            self.resume()
            asyncio.get_running_loop().call_later(seconds, self.close)

    # Called by the connection.

    def on_head(self, head: Head) -> None:
        self._perhaps_lost = False
        if self._receiver is not None:
            self._receiver.on_head(head)

    def on_body(self, data: bytes) -> None:
        if self._receiver is not None:
            self._receiver.on_body(data)

    def on_end(self, fault: Fault | None) -> None:
        self._connection = self.connecting = None
        receiver, again = self._receiver, self._perhaps_lost
        if receiver is None:
            return
        if fault is not None and again:
            self._perhaps_lost = False
            with suppress(RuntimeError):  # the event loop ends
                self.connecting = self._pool.connect(self)
            return
        self._receiver = None
        receiver.on_end(fault)
