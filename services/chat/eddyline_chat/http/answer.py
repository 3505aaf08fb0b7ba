"""An answer on its way from its upstream to its client.

The head goes out with the first bytes of the body, or after some seconds without any: an upstream
that fails before it gives a real error status. From then on the answer owns the connection: each
read from the upstream is one write, and no task waits in between.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from eddyline.connection.base import HIGH_WATER, Connection
from eddyline.connection.response import StreamResponse
from eddyline.errors import StreamingError, Unavailable
from eddyline.service.admission import StreamContext
from eddyline.telemetry.base import Reason
from eddyline.wire import sse
from eddyline_chat.http.forms import Form
from eddyline_chat.http.stalling import Stalling
from eddyline_chat.openai.chunk import Chunk
from eddyline_chat.upstreams.base import Exchange, Question, Upstream

#: Bytes that may wait for the response to begin, before the upstream is paused.
_WAITING = 64 * 1024

#: Seconds before the drain's deadline, which cuts without a word, at which an unfinished answer
#: gets its error.
_BEFORE_DEADLINE = 0.5


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds of silence: after `head` the head of the response goes out, and each `heartbeat`
    after that a sign of life.
    """

    head: float
    heartbeat: float


class Answer:
    """A `Receiver` of the upstream and the `Listener` of the client's connection. Use it once.

    `_done` ends it, once, on whichever side the end begins; it awaits nothing.
    """

    def __init__(self, form: Form, context: StreamContext, pace: Pace) -> None:
        self._form = form
        self._context = context
        self._pace = pace
        self._loop = asyncio.get_running_loop()
        self._began = time.monotonic()
        self._exchange: Exchange | None = None
        self._connection: Connection | None = None
        #: Bytes that wait for the connection.
        self._waiting: list[bytes] = []
        #: The head may go out; or the error that is answered by a status.
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._ended: Reason | None = None
        #: Whether the body gets its regular end.
        self._clean = True
        self._over = False
        self._bytes = 0
        self._spoke = self._loop.time()
        self._timers: list[asyncio.TimerHandle] = []
        self._beat: asyncio.TimerHandle = self._loop.call_later(pace.head, self._on_silence)
        self._stalling: Stalling | None = None
        context.meter.begin()
        context.drain.on_begin(self, self._on_drain)
        context.drain.on_deadline(self, lambda: self._abort("drain"))

    async def response(
        self, request: Request, upstream: Upstream, question: Question, headers: dict[str, str]
    ) -> Response:
        """Asks, and returns the response once its status is known. Raises the upstream's error
        before that.
        """
        leaving = asyncio.create_task(_left(request))
        try:
            self._exchange = upstream.ask(question, self)
            await asyncio.wait({self._ready, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not self._ready.done():
                self._done("client_closed")
                return _Nothing()
            self._ready.result()
            return self._begun({**sse.STREAM_HEADERS, **headers})
        except BaseException:
            self._done("failed")
            raise
        finally:
            leaving.cancel()

    def _begun(self, headers: dict[str, str]) -> Response:
        media_type = self._form.media_type
        if self._form.heartbeat is not None:
            response = StreamResponse(self._open, self._abandon, media_type, headers)
            self._context.permit.hand_over()
            return response
        body = b"".join(self._waiting)
        self._count(len(body))
        self._done("complete")
        return Response(body, media_type=media_type, headers=headers)

    # Called by the upstream.

    def on_chunks(self, chunks: Sequence[Chunk]) -> None:
        data, error = self._written(chunks)
        if error is None:
            self._write(data)
        else:
            self._fail(error, data)

    def on_end(self, error: StreamingError | None, chunks: Sequence[Chunk] = ()) -> None:
        """The last chunks and the end are one write."""
        self._exchange = None
        data, fault = self._written(chunks)
        error = fault or error
        try:
            end = self._form.end() if error is None else b""
        except StreamingError as cut:
            error, end = cut, b""
        if error is None:
            self._end("complete", data + end)
        else:
            self._fail(error, data)

    def _written(self, chunks: Sequence[Chunk]) -> tuple[bytes, StreamingError | None]:
        """The bytes of chunks, up to the first one that has no place in the form."""
        pieces: list[bytes] = []
        try:
            for chunk in chunks:
                pieces.append(self._form.chunk(chunk))
        except StreamingError as error:
            return b"".join(pieces), error
        return b"".join(pieces), None

    # Called by the connection.

    def on_full(self) -> None:
        if self._exchange is not None:
            self._exchange.pause()
        if self._connection is not None and self._stalling is None:
            seconds = self._context.policy.write_timeout
            self._stalling = Stalling(self._connection, seconds, lambda: self._abort("stalled"))

    def on_writable(self) -> None:
        if self._stalling is not None:
            self._stalling.stop()
            self._stalling = None
        if self._ended is not None:
            self._close(b"")
        elif self._exchange is not None:
            self._exchange.resume()

    def on_close(self) -> None:
        self._done(self._ended or "client_closed")

    def on_shutdown(self) -> bool:
        return True  # the drain ends it

    # The body.

    def _open(self, connection: Connection) -> None:
        self._connection = connection
        connection.listener = self
        if self._context.expires is not None:
            left = self._context.expires - time.time()
            self._timers.append(self._loop.call_later(left, self._abort, "expired"))
        waiting, self._waiting = b"".join(self._waiting), []
        if self._ended is not None:
            self._end(self._ended, waiting)
            return
        self._write(waiting)
        if self._exchange is not None and not connection.full:
            self._exchange.resume()

    def _abandon(self) -> None:
        self._done(self._ended or "client_closed")

    def _write(self, data: bytes) -> None:
        if not data:
            return
        self._spoke = self._loop.time()
        if self._connection is not None:
            self._count(len(data))
            self._connection.write(data)
            return
        self._waiting.append(data)
        if self._exchange is not None and sum(map(len, self._waiting)) > _WAITING:
            self._exchange.pause()
        self._begin()

    def _begin(self) -> None:
        if not self._ready.done():
            self._ready.set_result(None)

    def _fail(self, error: StreamingError, data: bytes = b"", reason: Reason = "failed") -> None:
        """`data`: bytes that came before the error."""
        self._leave()
        last = self._form.failure(error)
        if not self._ready.done() and not (data and self._form.heartbeat is not None):
            self._ended = reason
            self._ready.set_exception(error)
            return
        self._clean = last is not None
        self._end(reason, data + (last or b""))

    def _end(self, reason: Reason, last: bytes) -> None:
        """The answer has ended; its last bytes are on their way."""
        self._ended = reason
        if self._connection is None:
            self._waiting.append(last)
            self._begin()
            return
        if self._connection.full or len(last) > HIGH_WATER:
            self._write(last)
            last = b""
        if not self._connection.full:
            self._close(last)  # else `on_writable` does: a slow client gets the time that it needs

    def _close(self, last: bytes) -> None:
        connection, reason = self._connection, self._ended
        if connection is None or reason is None:
            return
        self._count(len(last))
        if self._clean:
            connection.close(last)
        else:
            connection.write(last)
            connection.cut()
        self._done(reason)

    def _abort(self, reason: Reason) -> None:
        """Cuts the answer without a word."""
        self._leave()
        if self._connection is not None:
            self._connection.abort()
        elif not self._ready.done():
            self._ready.set_exception(Unavailable("this process is stopping", 2.0))
        self._done(reason)

    # Time.

    def _on_silence(self) -> None:
        heartbeat = self._form.heartbeat
        if heartbeat is None:
            return
        pause = self._pace.heartbeat if self._ready.done() else self._pace.head
        left = self._spoke + pause - self._loop.time()
        if left <= 0:
            full = self._connection is not None and self._connection.full
            self._begin()
            self._spoke, left = self._loop.time(), self._pace.heartbeat
            self._write(b"" if full else heartbeat)
        self._beat = self._loop.call_later(left, self._on_silence)

    def _on_drain(self, window: float) -> None:
        left = window - min(_BEFORE_DEADLINE, window / 2)
        error = Unavailable("this process is stopping: the answer is not whole", 2.0)
        self._timers.append(self._loop.call_later(left, self._stop, error))

    def _stop(self, error: StreamingError) -> None:
        if self._ended is None:
            self._fail(error, reason="drain")

    # The end.

    def _leave(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.close()

    def _done(self, reason: Reason) -> None:
        self._leave()
        if self._over:
            return
        self._over = True
        self._beat.cancel()
        for timer in self._timers:
            timer.cancel()
        if self._stalling is not None:
            self._stalling.stop()
        self._context.drain.forget(self)
        seconds, permit = time.monotonic() - self._began, self._context.permit
        meter = self._context.meter
        meter.end(reason, seconds)
        if permit.trace is not None:
            permit.trace.count(0, self._bytes)
        permit.ended(meter, reason, seconds, bytes=self._bytes)
        permit.release()

    def _count(self, size: int) -> None:
        if size and not self._bytes:
            self._context.meter.first_byte.observe(time.monotonic() - self._began)
        self._bytes += size
        self._context.meter.bytes.inc(size)


class _Nothing(Response):
    """No response: the client has left before there was one."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pass


async def _left(request: Request) -> None:
    """Returns when the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
