"""The store of a single process: bounded in bytes, for each stream and in all, and in age.

Its streams die with the process.
"""

import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from eddyline.errors import NotFound, Overloaded
from eddyline.journal.cursor import Cursor
from eddyline.store.base import (
    ENDING,
    NOTHING,
    Batch,
    Chunk,
    StreamConfig,
    StreamFollower,
    Written,
)
from eddyline.store.memory_stream import MemoryStream, size_of

#: Seconds between two looks at all streams for those that have expired; a stream that is asked for
#: is looked at in any case.
SWEEP = 5.0


class MemoryStore:
    """Streams in the memory of one process. `max_bytes`: of all that it holds, overhead included.

    A store that is full drops the stream that has ended and was unused for the longest time. Where
    all streams are open, it refuses to grow. `clock` is in seconds.
    """

    def __init__(
        self, max_bytes: int = 256 * 1024 * 1024, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self._streams: dict[str, MemoryStream] = {}
        #: Streams that have ended, in the order of their last use.
        self._ended: dict[str, MemoryStream] = {}
        #: Bytes of both kinds of streams. An open one counts for its ending from the start, so that
        #: there is room for it.
        self._open_bytes = 0
        self._ended_bytes = 0
        self._sweep_at = -math.inf

    def __len__(self) -> int:
        """Streams that it holds."""
        return len(self._streams)

    @property
    def bytes(self) -> int:
        """Bytes that all streams count for."""
        return self._open_bytes + self._ended_bytes

    async def create(self, key: str, config: StreamConfig, first: Batch = NOTHING) -> Written:
        now = self._now()
        stream = self._find(key, now)
        if stream is not None:
            self._use(stream, now)
            return Written(stream.info, new=False)
        stream = MemoryStream(key, config, now)
        stream.surplus(first)
        self._make_room(stream.fixed + ENDING + size_of(first))
        self._open_bytes += stream.fixed + ENDING
        self._streams[key] = stream
        self._write(stream, first)
        return Written(stream.info)

    async def append(self, key: str, batch: Batch) -> Written:
        now = self._now()
        stream = self._get(key, now)
        surplus = stream.surplus(batch)
        self._use(stream, now)
        freed = size_of(Batch(surplus))
        reserved = ENDING if batch.end is not None else 0
        self._make_room(size_of(batch) - reserved - freed)
        stream.trim(surplus)
        self._open_bytes -= freed
        self._write(stream, batch)
        return Written(stream.info)

    async def read(self, key: str, after: Cursor | None, limit: int) -> Chunk:
        now = self._now()
        stream = self._get(key, now)
        if limit:
            self._use(stream, now)
        gap = None if after is None else stream.gap(after)
        return Chunk([] if gap else stream.read(after, limit), stream.info, gap)

    @asynccontextmanager
    async def follow(self, key: str, follower: StreamFollower) -> AsyncIterator[None]:
        stream = self._get(key, self._now())
        follower.skip(stream.head)
        if stream.end is not None:
            follower.ended(stream.end)
        stream.followers += (follower,)
        try:
            yield
        finally:
            stream.followers = tuple(each for each in stream.followers if each is not follower)
            self._use(stream, self._clock())

    async def delete(self, key: str) -> None:
        self._drop(self._get(key, self._now()))

    def _now(self) -> float:
        """The time; streams that have expired by then are dropped, though not each time."""
        now = self._clock()
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP
            for stream in [each for each in self._streams.values() if each.expired(now)]:
                self._drop(stream)
        return now

    def _find(self, key: str, now: float) -> MemoryStream | None:
        stream = self._streams.get(key)
        if stream is None or not stream.expired(now):
            return stream
        self._drop(stream)
        return None

    def _get(self, key: str, now: float) -> MemoryStream:
        stream = self._find(key, now)
        if stream is None:
            raise NotFound(f"there is no stream {key[:80]!r}: none was made, or it has expired")
        return stream

    def _use(self, stream: MemoryStream, now: float) -> None:
        stream.used = now
        if stream.key in self._ended:
            self._ended[stream.key] = self._ended.pop(stream.key)

    def _write(self, stream: MemoryStream, batch: Batch) -> None:
        records = stream.write(batch)
        self._open_bytes += size_of(batch)
        if stream.end is not None:
            self._open_bytes -= stream.fixed + stream.size + ENDING
            self._ended_bytes += stream.fixed + stream.size
            self._ended[stream.key] = stream
        for follower in stream.followers:
            if records:
                follower.deliver(records)
            if stream.end is not None:
                follower.ended(stream.end)

    def _make_room(self, size: int) -> None:
        # First of all: no stream may go for the sake of a write that is then refused.
        if self._open_bytes + size > self._max_bytes:
            raise Overloaded(f"the store is full: open streams hold {self._open_bytes} bytes")
        while self.bytes + size > self._max_bytes:
            self._drop(next(iter(self._ended.values())))

    def _drop(self, stream: MemoryStream) -> None:
        del self._streams[stream.key]
        if stream.end is not None:
            del self._ended[stream.key]
            self._ended_bytes -= stream.fixed + stream.size
            return
        self._open_bytes -= stream.fixed + stream.size + ENDING
        for follower in stream.followers:
            follower.ended(None)
