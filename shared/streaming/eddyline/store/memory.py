"""The store of a single process: bounded in bytes, for each stream and in all, and in age.

Its streams die with the process.
"""

import builtins
import heapq
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from eddyline.errors import BadCursor, Conflict, NotFound, Overloaded
from eddyline.journal.cursor import Cursor
from eddyline.store.base import (
    NOTHING,
    Batch,
    Chunk,
    Fork,
    StreamConfig,
    StreamDeleted,
    StreamFollower,
    Written,
)
from eddyline.store.memory_stream import MemoryStream, size_of
from eddyline.store.stores import options_of

#: Seconds between two looks at all streams for those that have expired; a stream that is asked for
#: is looked at in any case.
SWEEP = 5.0


class MemoryStore:
    """Streams in the memory of one process. `max_bytes`: of all that it holds, overhead included.

    A store that is full drops the stream that has ended and was unused for the longest time.
    Streams that are open, and those with forks, are never dropped: where they fill the store, it
    refuses to grow. `clock` is in seconds.
    """

    def __init__(
        self, max_bytes: int = 256 * 1024 * 1024, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self._streams: dict[str, MemoryStream] = {}
        #: Streams that may be dropped, in the order of their last use.
        self._droppable: dict[str, MemoryStream] = {}
        #: Bytes of these, and of all others.
        self._droppable_bytes = 0
        self._held_bytes = 0
        self._sweep_at = -math.inf

    @classmethod
    def from_url(cls, url: str) -> "MemoryStore":
        """`memory://`, or `memory://?max_bytes=1000000`."""
        most = options_of(url, max_bytes=int).get("max_bytes")
        return cls() if most is None else cls(int(str(most)))

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Nothing has to run."""
        yield

    def __len__(self) -> int:
        """Streams that it holds."""
        return len(self._streams)

    @property
    def bytes(self) -> int:
        """Bytes that all streams count for."""
        return self._held_bytes + self._droppable_bytes

    async def create(
        self, key: str, config: StreamConfig, first: Batch = NOTHING, fork: Fork | None = None
    ) -> Written:
        now = self._now()
        stream = self._find(key, now)
        if stream is not None:
            if stream.deleted:
                raise Conflict(f"the key {key[:80]!r} is not free: forks of its old stream live")
            self._use(stream, now)
            return Written(stream.info, new=False)
        source = None if fork is None else self._source(fork, config, now)
        stream = MemoryStream(key, config, now, fork, source)
        first = Batch(first.records, first.end)
        stream.surplus(first)
        self._make_room(stream.counted + stream.growth(first), source)
        if source is not None:
            self._change_forks(source, 1)
        self._streams[key] = stream
        self._count(stream)
        self._write(stream, first)
        return Written(stream.info)

    async def append(self, key: str, batch: Batch) -> Written:
        now = self._now()
        stream = self._get(key, now)
        name = repr(key[:80])
        if stream.writers.is_repeated(name, stream.info, batch):
            self._use(stream, now)
            return Written(stream.info, new=False, accepted=stream.writers.accepted(batch))
        surplus = stream.surplus(batch)
        self._use(stream, now)
        self._make_room(stream.growth(batch) - size_of(Batch(surplus)))
        self._write(stream, batch, surplus)
        return Written(stream.info, accepted=stream.writers.accepted(batch))

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

    async def list(self, prefix: str, after: str | None, limit: int) -> builtins.list[str]:
        self._now()
        keys = (
            key
            for key, stream in self._streams.items()
            if key.startswith(prefix) and (after is None or key > after) and not stream.deleted
        )
        # Texts sort by code points, and so do their bytes in UTF-8.
        return heapq.nsmallest(limit, keys)

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
        if stream is not None and stream.expired(now):
            self._drop(stream)
        return self._streams.get(key)

    def _get(self, key: str, now: float) -> MemoryStream:
        stream = self._find(key, now)
        if stream is None:
            raise NotFound(f"there is no stream {key[:80]!r}: none was made, or it has expired")
        if stream.deleted:
            raise StreamDeleted(f"the stream {key[:80]!r} is gone: only forks of it live")
        return stream

    def _source(self, fork: Fork, config: StreamConfig, now: float) -> MemoryStream:
        try:
            source = self._get(fork.source, now)
        except StreamDeleted as error:
            raise Conflict(error.detail) from error
        if source.config.trim or config.trim:
            raise Conflict(f"{fork.source[:80]!r} is not forked: a fork keeps all of its records")
        if source.gap(fork.at) is not None:
            text = f"{fork.at} is no position of the stream {fork.source[:80]!r}"
            raise BadCursor(f"{text}: it is at {source.head}")
        return source

    def _use(self, stream: MemoryStream, now: float) -> None:
        stream.used = now
        if self._droppable.get(stream.key) is stream:
            self._droppable[stream.key] = self._droppable.pop(stream.key)

    def _count(self, stream: MemoryStream) -> None:
        if stream.end is not None and not stream.forks:
            self._droppable[stream.key] = stream
            self._droppable_bytes += stream.counted
        else:
            self._held_bytes += stream.counted

    def _uncount(self, stream: MemoryStream) -> None:
        """Called before a change of its size, its end or its forks; `_count` follows it."""
        if self._droppable.pop(stream.key, None) is not None:
            self._droppable_bytes -= stream.counted
        else:
            self._held_bytes -= stream.counted

    def _write(
        self, stream: MemoryStream, batch: Batch, surplus: Sequence[builtins.bytes] = ()
    ) -> None:
        self._uncount(stream)
        stream.trim(surplus)
        records = stream.write(batch)
        self._count(stream)
        for follower in stream.followers:
            if records:
                follower.deliver(records)
            if stream.end is not None:
                follower.ended(stream.end)

    def _make_room(self, size: int, source: MemoryStream | None = None) -> None:
        """Drops streams so that all may grow by `size`; `source` is about to be held by a fork."""
        held = self._held_bytes
        if source is not None and self._droppable.get(source.key) is source:
            held += source.counted
        # First of all: no stream may go for the sake of a write that is then refused.
        if held + size > self._max_bytes:
            raise Overloaded(f"the store is full: streams that must stay hold {held} bytes")
        while self.bytes + size > self._max_bytes:
            self._drop(next(each for each in self._droppable.values() if each is not source))

    def _change_forks(self, stream: MemoryStream, by: int) -> None:
        self._uncount(stream)
        stream.forks += by
        self._count(stream)

    def _drop(self, stream: MemoryStream) -> None:
        """Removes a stream; one that has forks only disappears."""
        followers, stream.followers = stream.followers, ()
        if stream.forks:
            stream.deleted = True
        else:
            self._remove(stream)
        if stream.end is None:
            for follower in followers:
                follower.ended(None)

    def _remove(self, stream: MemoryStream) -> None:
        """Removes a stream, and those before it that only it has kept."""
        last: MemoryStream | None = stream
        while last is not None:
            self._uncount(last)
            del self._streams[last.key]
            source, last = last.source, None
            if source is not None:
                self._change_forks(source, -1)
                last = source if source.deleted and not source.forks else None
