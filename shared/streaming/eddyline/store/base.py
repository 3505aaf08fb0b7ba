"""Stores of streams: many small logs, each with a definite end.

Each log is of one stream alone: the values of a generator, a chat answer, a Durable
Stream. A journal is the other kind of log: one for a whole hub, without an end.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from eddyline.errors import Conflict, TooLarge
from eddyline.journal.base import Gap
from eddyline.journal.cursor import Cursor

#: Bytes that each record counts for beside its data, in every store: else a million empty records
#: would be free.
RECORD_OVERHEAD = 48

#: Bytes by which the batch that ends a stream may exceed a bound: so that a stream which is full
#: can still say so.
ENDING = 1024


class WriteConflict(Conflict):
    """The stream is not in the state that the write needs; `head` is its newest record's cursor."""

    def __init__(self, detail: str, head: Cursor) -> None:
        super().__init__(detail)
        self.head = head


class StreamEnded(WriteConflict):
    """The stream has ended: it takes no more records."""


class StaleWriter(WriteConflict):
    """The stream is not where its writer took it to be.

    A writer that tries again after a lost answer sees by `head` whether its batch is there already.
    """


class StreamFull(TooLarge):
    """The batch would exceed the bytes that the stream may hold; nothing of it was appended."""


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """How a stream is kept. Set when it is created, and never changed.

    `ttl`: seconds without a write, a read or a follower after which the stream is gone; None: it
    stays until it is deleted. `max_bytes`: the most that its records may count for, each with
    RECORD_OVERHEAD; None: only the store's own bound holds. `trim`: a stream that is full drops its
    oldest records; without it, the stream refuses new ones.
    """

    content_type: str = "application/octet-stream"
    ttl: float | None = None
    max_bytes: int | None = None
    trim: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """One write: all of it happens, or nothing.

    `end`: a word for the reason why the stream ends with this batch ("complete", "failed");
    nothing follows it. `after`: the head that the writer knows; the write is refused where the
    stream has another one. A batch of nothing only shows that the stream is in use.
    """

    records: Sequence[bytes] = ()
    end: str | None = None
    after: Cursor | None = None


#: A write of nothing.
NOTHING = Batch()


@dataclass(frozen=True, slots=True)
class Record:
    """One record. Its data is the writer's business; records are never split or joined."""

    cursor: Cursor
    data: bytes


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """Where a stream is. `oldest` is the cursor that reads all that is retained, `head` that of
    the newest record; `end` is None while the stream is open.
    """

    config: StreamConfig
    oldest: Cursor
    head: Cursor
    end: str | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """The state after a write. `new` is False where an earlier write had done the work already."""

    info: StreamInfo
    new: bool = True


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records that follow a cursor, or the reason why they cannot be told.

    A reader has all that there will ever be once `info.end` is set and it is at `info.head`.
    """

    records: list[Record]
    info: StreamInfo
    gap: Gap | None = None


class StreamFollower(Protocol):
    """A reader that is told of a stream's growth. Called in the event loop; never blocks."""

    def skip(self, head: Cursor) -> None:
        """The records before `head` are not delivered: a reader that needs them reads them."""

    def deliver(self, records: Sequence[Record]) -> None:
        """The records that follow the last one, or the cursor last skipped to."""

    def ended(self, reason: str | None) -> None:
        """Once, after the last record: the stream was closed for this reason; None: it is gone."""


class StreamStore(Protocol):
    """Many small logs in one place, each under a key.

    A position is a `Cursor`: the epoch names one life of the key, and sequences count its records
    up by one, from 1. So a cursor never names other bytes: a key that is created again gets
    another epoch, and a store that may have lost acknowledged records goes on under a new one. A
    stream that is moved to another store keeps its cursors. Clients take cursors for opaque.
    """

    async def create(self, key: str, config: StreamConfig, first: Batch = NOTHING) -> Written:
        """Makes the stream, and writes `first` into it, in one step; or finds it there already.

        Of all that create a key at the same time, in any process, exactly one is told `new`. A
        stream that is there is left as it is, even where its config differs. Raises
        Overloaded where the store is full, StreamFull where `first` is too large.
        """

    async def append(self, key: str, batch: Batch) -> Written:
        """Writes a batch; it is kept as safely as the store keeps anything when this returns.

        Raises NotFound, StreamEnded, StaleWriter, StreamFull, Overloaded (the store is full), or
        Unavailable where the store cannot say whether it was written. The batch that ends a stream
        is taken in spite of full bounds, up to ENDING bytes.
        """

    async def read(self, key: str, after: Cursor | None, limit: int) -> Chunk:
        """The records after a cursor, up to `limit` bytes of data but at least one; None reads
        from the oldest.

        A limit of 0 asks for the state alone, and does not count as a use of the stream. Raises
        NotFound, also for a stream that has expired.
        """

    def follow(self, key: str, follower: StreamFollower) -> AbstractAsyncContextManager[None]:
        """Tells the follower of the stream: first a `skip`, then each record once, in order, then
        the end. A stream that is followed does not expire.

        Raises NotFound on entering.
        """

    async def delete(self, key: str) -> None:
        """Removes the stream and all its records; its followers are told. Raises NotFound."""
