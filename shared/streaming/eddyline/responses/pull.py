"""Responses that are pulled: the socket sets the pace of the producer, be it async or blocking."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping

from eddyline.responses.body import Body, BodyResponse
from eddyline.responses.threaded import ThreadedIterator
from eddyline.service.admission import StreamContext
from eddyline.wire.sse import STREAM_HEADERS


class PullResponse(BodyResponse):
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
        self.interrupt = interrupt
        merged = {**STREAM_HEADERS, **(headers or {})}
        super().__init__(context, media_type=media_type, headers=merged, status_code=status_code)

    async def send_body(self, body: Body) -> None:
        await body.begin()
        source = self.produce()
        chunks = (
            source
            if isinstance(source, AsyncIterator)
            else ThreadedIterator(source, self.interrupt)
        )
        try:
            async for chunk in chunks:
                await body.write(chunk)
        finally:
            # Here, not in the garbage collector's time: the producer may hold a file or a database.
            close = getattr(chunks, "aclose", None)
            if close is not None:
                await close()
        await body.end()
