"""Responses that are pulled: the socket sets the pace of the producer, be it async or blocking."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from eddyline.responses.stream import ByteStream
from eddyline.responses.threaded import ThreadedIterator
from eddyline.service.admission import StreamContext
from eddyline.wire.sse import STREAM_HEADERS


class PullResponse(Response):
    """Streams what `produce()` yields; an exception in it ends the body without its regular end.

    A sync iterator runs in threads, a step at a time; `interrupt` makes such a step return early.
    `produce` is called in the event loop and must not block: a generator function does not.
    """

    def __init__(
        self,
        produce: Callable[[], Iterator[bytes] | AsyncIterator[bytes]],
        context: StreamContext,
        *,
        media_type: str,
        headers: Mapping[str, str] | None = None,
        status_code: int = 200,
        interrupt: Callable[[], None] | None = None,
    ) -> None:
        self.produce = produce
        self.context = context
        self.interrupt = interrupt
        self.status_code = status_code
        self.media_type = media_type
        self.background = None
        # No `self.body`: Starlette would take its length for the Content-Length.
        self.init_headers({**STREAM_HEADERS, **(headers or {})})
        context.permit.hand_over()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        stream = ByteStream(self.context, scope, send)
        await stream.run(receive, lambda: self._send_body(stream))

    async def _send_body(self, stream: ByteStream) -> None:
        await stream.send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        source = self.produce()
        chunks = (
            source
            if isinstance(source, AsyncIterator)
            else ThreadedIterator(source, self.interrupt)
        )
        try:
            await _send_chunks(stream, chunks)
        finally:
            # Here, not in the garbage collector's time: the producer may hold a file or a database.
            close = getattr(chunks, "aclose", None)
            if close is not None:
                await close()
        await stream.send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_chunks(stream: ByteStream, chunks: AsyncIterator[bytes]) -> None:
    async for chunk in chunks:
        if chunk:
            await stream.send({"type": "http.response.body", "body": chunk, "more_body": True})
        # Neither a ready producer nor a socket with room suspends: the other tasks need a turn.
        await asyncio.sleep(0)
