"""Head, chunks, end: the body of a response as its producer sends it."""

import asyncio
import time
from collections.abc import Mapping

from starlette.background import BackgroundTask
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from eddyline.responses.stream import ByteStream
from eddyline.service.admission import StreamContext
from eddyline.telemetry.base import Reason


class Body:
    """The head, the chunks and the end of one response, on an ASGI `send`.

    The head goes out with the first bytes, or at `begin`: a fault before it can still be answered
    by an error status. Only `end` makes the body a whole one.
    """

    __slots__ = ("_headers", "_send", "_status", "begun")

    def __init__(self, send: Send, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.begun: bool = False
        self._send = send
        self._status = status
        self._headers = headers

    async def begin(self) -> None:
        """Sends the head, unless it is sent."""
        if not self.begun:
            head = {"type": "http.response.start", "status": self._status, "headers": self._headers}
            await self._send(head)
            self.begun = True

    async def write(self, data: bytes) -> None:
        """Sends a chunk; an empty one sends nothing. Other tasks get a turn in any case."""
        if data:
            await self.begin()
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
        # Neither a ready producer nor a socket with room suspends: the other tasks need a turn.
        await asyncio.sleep(0)

    async def end(self, data: bytes = b"") -> None:
        """Sends the last chunk with the end of the body: a client that leaves once it has all
        bytes has seen the end too.
        """
        await self.begin()
        await self._send({"type": "http.response.body", "body": data, "more_body": False})


class BodyResponse(Response):
    """A response whose body is sent by `send_body`, under the conditions of `context`.

    It takes the permit of `context` over.
    """

    def __init__(
        self,
        context: StreamContext,
        *,
        media_type: str,
        headers: Mapping[str, str],
        status_code: int = 200,
    ) -> None:
        self.context = context
        self.status_code = status_code
        self.media_type = media_type
        self.background: BackgroundTask | None = None
        # No `self.body`: Starlette would take its length for the Content-Length.
        self.init_headers(headers)
        context.permit.hand_over()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        stream = ByteStream(self.context, scope, send)
        body = Body(stream.send, self.status_code, self.raw_headers)
        await stream.run(receive, lambda: self.send_body(body))
        if self.background is not None:
            await self.background()

    async def send_body(self, body: Body) -> None:
        """Sends all of the body, with its end; an exception makes it one that was cut short."""
        raise NotImplementedError


async def send_whole(context: StreamContext, body: Body, data: bytes) -> None:
    """Sends a body that is at hand to a connection that is idle: there is nothing to watch."""
    began = time.monotonic()
    reason: Reason = "failed"
    context.meter.begin()
    try:
        await body.end(data)
        context.meter.first_byte.observe(time.monotonic() - began)
        context.meter.bytes.inc(len(data))
        reason = "complete"
    finally:
        context.meter.end(reason, time.monotonic() - began)
        context.permit.release()
