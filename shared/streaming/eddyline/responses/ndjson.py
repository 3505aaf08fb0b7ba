"""Values as NDJSON, one a line, as fast as the client takes them."""

import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Any

from eddyline.responses.pull import PullResponse
from eddyline.service.admission import StreamContext
from eddyline.wire import ndjson

#: Lines of a blocking iterator are sent together: a step in a thread costs more than most values.
#: Bytes, and seconds since the first of them.
BATCH = 64 * 1024
LINGER = 0.05

Values = Iterable[Any] | AsyncIterable[Any]


class NdjsonResponse(PullResponse):
    """Streams `values` as `application/x-ndjson`, a value of JSON a line.

        return NdjsonResponse({"n": n} for n in range(1_000_000))

    Each value of an async iterable is sent at once. A blocking one is for values that are at hand:
    lines are sent together, and one may wait for the value after it. An exception, or a value that
    JSON does not have, ends the body without its regular end.
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
            return _each(source) if isinstance(source, AsyncIterable) else _batches(source)

        super().__init__(lines, context, media_type=ndjson.NDJSON, headers=headers)


async def _each(values: AsyncIterable[Any]) -> AsyncIterator[bytes]:
    try:
        async for value in values:
            yield ndjson.encode(value)
    finally:
        close = getattr(values, "aclose", None)
        if close is not None:
            await close()


def _batches(values: Iterable[Any]) -> Iterator[bytes]:
    try:
        lines: list[bytes] = []
        size, until = 0, time.monotonic() + LINGER
        for value in values:
            lines.append(ndjson.encode(value))
            size += len(lines[-1])
            if size >= BATCH or time.monotonic() >= until:
                yield b"".join(lines)
                lines.clear()
                size, until = 0, time.monotonic() + LINGER
        yield b"".join(lines)
    finally:
        close = getattr(values, "close", None)
        if close is not None:
            close()
