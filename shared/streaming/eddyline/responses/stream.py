"""One body on its way to a client: counted, paced by the socket, ended when it may not go on.

`body.BodyResponse` and `file.FileResponse` are made of it.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from starlette.types import Message, Receive, Scope, Send

from eddyline.connection.base import EXTENSION, ResponseTransport, StreamClosed, StreamStalled
from eddyline.service.admission import StreamContext
from eddyline.telemetry.base import Reason

_log = logging.getLogger("eddyline.stream")


def transport_of(scope: Scope) -> ResponseTransport | None:
    """The transport of our server; None where the server is another one."""
    transport: ResponseTransport | None = scope.get("extensions", {}).get(EXTENSION)
    return transport


class ByteStream:
    """Runs the coroutine that sends a body until it ends, or until the stream must.

    It must when the client leaves or stalls, at the drain's deadline, and when the token expires.
    A body that was cut short never gets its regular end: the client can tell.
    """

    def __init__(self, context: StreamContext, scope: Scope, send: Send) -> None:
        self.transport: Final = transport_of(scope)
        self._context = context
        self._scope = scope
        self._send = send
        self._began = time.monotonic()
        self._head_sent = False
        self._first_byte_sent = False
        self._finished = False
        self._cancelled = False
        self._leaving: asyncio.Task[None] | None = None
        self._cut: asyncio.Future[Reason] = asyncio.get_running_loop().create_future()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._patience = context.policy.write_timeout
        self._sending = False
        self._sends = 0
        self._bytes = 0
        self._mark: tuple[int, ...] = ()
        self._progress = 0.0

    async def run(self, receive: Receive, body: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Raises the error of `body` before the head is sent; a later one is a line in the log."""
        work = asyncio.create_task(body())
        leaving = self._leaving = asyncio.create_task(_client_leaves(receive))
        reason: Reason = "closed"
        self._begin()
        try:
            ends: set[asyncio.Future[Any]] = {work, leaving, self._cut}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            reason = self._reason(work)
        finally:
            self._cancelled = True
            work.cancel()
            leaving.cancel()
            await asyncio.gather(work, leaving, return_exceptions=True)
            self._end(reason)
        if reason == "failed":
            self._report(work)
        elif reason not in ("complete", "client_closed"):
            self._abort()

    async def send(self, message: Message) -> None:
        """An ASGI `send` that counts, and watches that the client takes the bytes."""
        self._sends += 1
        self._sending = True
        try:
            await self._send(message)
        except OSError as error:
            raise StreamClosed(str(error)) from error
        finally:
            self._sending = False
        if self._leaving is not None and self._leaving.done():
            await self._give_up()
        if message["type"] == "http.response.start":
            self._head_sent = True
        else:
            self._finished = not message.get("more_body", False)
            self._count(len(message.get("body", b"")))

    async def _give_up(self) -> None:
        """Never returns; uvicorn drops bytes for a client that left, and says nothing.

        `run` is about to cancel the producer. An exception here would start the producer's
        clean-up, and the cancellation would hit that: the connection that it was just closing would
        stay open for ever.
        """
        if not self._cancelled:
            await asyncio.get_running_loop().create_future()
        raise StreamClosed("the client left")

    async def send_file(
        self, file: int, offset: int, count: int, check: Callable[[], None]
    ) -> None:
        """Sends a part of a file by the transport, which must be there.

        `check` is called after each slice of it; an error in it ends the sending.
        """
        assert self.transport is not None

        def on_slice(size: int) -> None:
            self._count(size)
            check()

        await self.transport.send_file(file, offset, count, self._patience, on_slice)

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        self._context.meter.begin()
        self._context.drain.on_deadline(self, lambda: self._cut_short("drain"))
        if self._context.expires is not None:
            left = self._context.expires - time.time()
            self._timers["expiry"] = loop.call_later(left, self._cut_short, "expired")
        self._watch()

    def _end(self, reason: Reason) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._context.drain.forget(self)
        meter, seconds = self._context.meter, time.monotonic() - self._began
        meter.end(reason, seconds)
        permit = self._context.permit
        if permit.trace is not None:
            permit.trace.count(0, self._bytes)
        permit.ended(meter, reason, seconds, bytes=self._bytes)
        permit.release()

    def _cut_short(self, reason: Reason) -> None:
        if not self._cut.done():
            self._cut.set_result(reason)

    def _reason(self, work: asyncio.Task[None]) -> Reason:
        if self._finished:
            return "complete"
        if not work.done():
            return self._cut.result() if self._cut.done() else "client_closed"
        error = _error(work)
        if isinstance(error, StreamStalled):
            return "stalled"
        return "client_closed" if isinstance(error, StreamClosed) else "failed"

    def _count(self, size: int) -> None:
        if size and not self._first_byte_sent:
            self._first_byte_sent = True
            self._context.meter.first_byte.observe(time.monotonic() - self._began)
        self._bytes += size
        self._context.meter.bytes.inc(size)

    def _watch(self) -> None:
        """Progress is the peer's acknowledgement: one `send` to a slow peer may take for ever."""
        loop = asyncio.get_running_loop()
        mark: tuple[int, ...] = (self._sends,)
        if self.transport is not None and self._sending:
            mark = (self._sends, self.transport.acked(), self.transport.buffered)
        if not self._sending or mark != self._mark:
            self._mark, self._progress = mark, loop.time()
        elif loop.time() - self._progress >= self._patience:
            self._cut_short("stalled")
            return
        self._timers["watch"] = loop.call_later(self._patience / 4, self._watch)

    def _abort(self) -> None:
        """A mere close would first wait until a stalled peer has read the buffered bytes."""
        connection = self.transport.detach() if self.transport is not None else None
        if connection is not None:
            connection.abort()
        elif self.transport is not None:
            self.transport.abort()

    def _report(self, work: asyncio.Task[None]) -> None:
        error = _error(work)
        if not self._head_sent and error is not None:
            raise error
        fields = {
            "path": self._scope["path"],
            "request_id": self._scope.get("request_id"),
            "error": repr(error),
        }
        _log.error("a stream was cut short: its producer failed", extra=fields)
        if self._scope["http_version"] == "1.0":
            # Without framing a close is a regular end; only a reset tells.
            self._abort()


def _error(work: asyncio.Task[None]) -> BaseException | None:
    if work.cancelled():
        # We did not cancel it: the producer awaited a task that was cancelled.
        return RuntimeError("the producer was cancelled")
    return work.exception()


async def _client_leaves(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
