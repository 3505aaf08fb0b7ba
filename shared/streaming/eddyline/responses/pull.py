"""Responses that are pulled: the socket sets the pace of the producer, be it async or blocking."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping

from eddyline.responses.body import Body, BodyResponse
from eddyline.responses.gathering import GatheringIterator
from eddyline.service.admission import StreamContext
from eddyline.threads import PULLS, Lane, source_of
from eddyline.wire.sse import STREAM_HEADERS

#: Bytes that a blocking producer makes ahead of its client, and one chunk.
AHEAD = 64 * 1024

#: The chunks of a body; a text is sent as UTF-8.
Chunks = Iterable[bytes | str] | AsyncIterable[bytes | str]


class PullResponse(BodyResponse):
    """Streams chunks as fast as the client takes them; the next one is made when it has room.

        return PullResponse(rows(), media_type="text/csv")

    `chunks`: an iterable, or a function that returns it. The function is called in the event loop
    when the body begins; it must not block, and a generator function does not. A blocking iterator
    runs in threads; small chunks that it makes while the client is busy are joined. `interrupt`
    makes its next chunk come early, for a client that has left. An exception ends the body without
    its regular end, so that the client can tell. `context`: the limits and measures of a service.
    `lane`: the threads of a blocking iterator; by default its code has some of those of all bodies.
    `head_at_once=False`: the head goes out with the first chunk, so that an exception before it is
    answered by an error status.
    """

    def __init__(
        self,
        chunks: Chunks | Callable[[], Chunks],
        context: StreamContext | None = None,
        *,
        media_type: str = "application/octet-stream",
        headers: Mapping[str, str] | None = None,
        status_code: int = 200,
        interrupt: Callable[[], None] | None = None,
        lane: Lane | None = None,
        head_at_once: bool = True,
    ) -> None:
        self.chunks = chunks
        self.interrupt = interrupt
        self.lane = lane
        self.head_at_once = head_at_once
        super().__init__(
            context or StreamContext.from_defaults("pull"),
            media_type=media_type,
            headers={**STREAM_HEADERS, **(headers or {})},
            status_code=status_code,
        )

    async def send_body(self, body: Body) -> None:
        if self.head_at_once:
            await body.begin()
        source = self.chunks() if callable(self.chunks) else self.chunks
        chunks: AsyncIterator[bytes | str]
        if isinstance(source, AsyncIterable):
            chunks = aiter(source)
        else:
            steps = iter(source)
            lane = self.lane or PULLS.lane(source_of(steps))
            chunks = GatheringIterator(steps, AHEAD, lane, self.interrupt)
        try:
            async for chunk in chunks:
                await body.write(chunk.encode() if isinstance(chunk, str) else chunk)
        finally:
            # Here, not in the garbage collector's time: the producer may hold a file or a database.
            close = getattr(chunks, "aclose", None)
            if close is not None:
                await close()
        await body.end()
