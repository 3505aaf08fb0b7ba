"""Records of a stream that is loaded, read in a thread."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from eddyline.errors import NotFound, Unavailable
from eddyline.journal.cursor import Cursor
from eddyline.store.base import Chunk
from eddyline.store.segments.stream import FileStream, records_of

_T = TypeVar("_T")

#: A record may be trimmed while it is read: so many times in a row it is not.
_TRIES = 5


class InThread(Protocol):
    """Calls a function in a thread, and waits for its result."""

    def __call__(self, call: Callable[..., _T], *args: object) -> Awaitable[_T]: ...


async def read(stream: FileStream, after: Cursor | None, limit: int, in_thread: InThread) -> Chunk:
    """As `StreamStore.read`. Records of a stream that goes meanwhile may be those of another."""
    for _ in range(_TRIES):
        state = stream.state
        info, spans = state.info, state.spans
        gap = None if after is None else state.gap(after)
        first = info.oldest.sequence + 1 if after is None else after.sequence + 1
        if gap or limit <= 0 or first > info.head.sequence:
            return Chunk([], info, gap)
        try:
            datas = await in_thread(stream.fetch, first, info.head.sequence, limit)
        except FileNotFoundError:
            continue
        if stream.gone:
            raise NotFound(f"the stream {stream.key[:80]!r} went while it was read")
        return Chunk(records_of(spans, first, datas), info)
    raise Unavailable(f"the stream {stream.key[:80]!r} can't be read: its files are not there")
