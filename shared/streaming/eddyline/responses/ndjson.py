"""Values as NDJSON, one a line, as fast as the client takes them."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Any

from eddyline.responses.pull import PullResponse
from eddyline.service.admission import StreamContext
from eddyline.wire import ndjson

Values = Iterable[Any] | AsyncIterable[Any]


class NdjsonResponse(PullResponse):
    """Streams `values` as `application/x-ndjson`, a value of JSON a line.

        return NdjsonResponse({"n": n} for n in range(1_000_000))

    `values`: an iterable, blocking or not, or a function that returns it, as with `PullResponse`.
    An exception, or a value that JSON does not have, ends the body without its regular end.
    """

    def __init__(
        self,
        values: Values | Callable[[], Values],
        context: StreamContext | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        def lines() -> Iterator[bytes] | AsyncIterator[bytes]:
            source = values() if callable(values) else values
            return _awaited(source) if isinstance(source, AsyncIterable) else _blocking(source)

        super().__init__(lines, context, media_type=ndjson.NDJSON, headers=headers)


async def _awaited(values: AsyncIterable[Any]) -> AsyncIterator[bytes]:
    try:
        async for value in values:
            yield ndjson.encode(value)
    finally:
        close = getattr(values, "aclose", None)
        if close is not None:
            await close()


def _blocking(values: Iterable[Any]) -> Iterator[bytes]:
    try:
        for value in values:
            yield ndjson.encode(value)
    finally:
        close = getattr(values, "close", None)
        if close is not None:
            close()
