"""One connection to a server: it sends a request, and parses the response with httptools."""

import asyncio
from typing import Protocol

import httptools

from eddyline_chat.client.base import Broken, Fault, Head

#: Bytes of a response before the end of its head.
_HEAD_LIMIT = 256 * 1024


class Exchange(Protocol):
    """The request that a connection is busy with."""

    def on_head(self, head: Head) -> None: ...

    def on_body(self, data: bytes) -> None: ...

    def on_end(self, fault: Fault | None) -> None: ...


class Keeper(Protocol):
    """The owner of connections."""

    def opened(self, connection: "Connection") -> None: ...

    def lost(self, connection: "Connection") -> None: ...

    def free(self, connection: "Connection") -> None:
        """The response is whole, and the connection can be asked again."""


class Connection(asyncio.Protocol):
    """A connection, and the exchange that it is busy with.

    An exchange ends it by `abort`, which awaits nothing: no cancellation can come between.
    """

    transport: asyncio.Transport

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._exchange: Exchange | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._headers: dict[str, str] = {}
        self._head: Head | None = None
        self._parts: list[bytes] = []
        self._before_head = 0
        self._complete = self._reusable = False
        #: Bytes have come after the end of the response.
        self._more = False
        #: The body has no framing of its own: it ends with the connection.
        self._unframed = False

    def ask(self, request: bytes, exchange: Exchange) -> None:
        """Sends a request; `exchange` gets the response."""
        self._exchange = exchange
        self._parser = httptools.HttpResponseParser(self)
        self._before_head = 0
        self._complete = self._unframed = self._more = False
        self.transport.write(request)

    def abort(self) -> None:
        """Closes the connection now. Its exchange is told nothing."""
        self._exchange = None
        self.transport.abort()

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._keeper.opened(self)

    def data_received(self, data: bytes) -> None:
        exchange, parser = self._exchange, self._parser
        if exchange is None or parser is None:
            self.transport.abort()  # bytes that nobody has asked for
            return
        fault: Fault | None = None
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            fault = Broken("its bytes are not HTTP/1.1")
        if self._before_head >= 0 and self._head is None:
            self._before_head += len(data)
            if self._before_head > _HEAD_LIMIT:
                fault = Broken(f"{self._before_head} bytes came without the end of a head")
        self._hand_over(exchange, fault)

    def connection_lost(self, exc: Exception | None) -> None:
        self._keeper.lost(self)
        exchange, self._exchange, self._parser = self._exchange, None, None
        if exchange is not None:
            whole = self._unframed and exc is None
            exchange.on_end(None if whole else Broken(str(exc or "it was closed")))

    # Called by httptools.

    def on_message_begin(self) -> None:
        self._headers = {}
        self._more = self._complete

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        status = self._parser.get_status_code()
        if status < 200 or self._more:  # another head follows (RFC 9110 section 15.2)
            return
        headers = self._headers
        self._head = Head(status, headers)
        self._before_head = -1
        self._unframed = "content-length" not in headers and "transfer-encoding" not in headers

    def on_body(self, data: bytes) -> None:
        if not self._more:
            self._parts.append(data)

    def on_message_complete(self) -> None:
        if self._before_head < 0 and not self._more:
            assert self._parser is not None
            # The parser knows it only here.
            self._complete, self._reusable = True, self._parser.should_keep_alive()

    def _hand_over(self, exchange: Exchange, fault: Fault | None) -> None:
        """Any of these calls may close the exchange, and with it the connection."""
        head, self._head = self._head, None
        parts, self._parts = self._parts, []
        if head is not None:
            exchange.on_head(head)
        if parts and self._exchange is exchange:
            exchange.on_body(parts[0] if len(parts) == 1 else b"".join(parts))
        if self._exchange is not exchange:
            return
        if fault is not None:
            self.abort()
            exchange.on_end(fault)
        elif self._complete:
            self._release()
            exchange.on_end(None)

    def _release(self) -> None:
        self._parser = self._exchange = None
        if self._reusable and not self._more and not self.transport.is_closing():
            self.transport.resume_reading()
            self._keeper.free(self)
        else:
            self.transport.abort()
