"""Stores of streams: many small logs, each with a definite end.

Each log is of one stream alone: the values of a generator, a chat answer, a Durable
Stream. A journal is the other kind of log: one for a whole hub, without an end.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from eddyline.errors import Conflict, Forbidden, Gone, TooLarge
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


class ContentTypeMismatch(WriteConflict):
    """The writer takes the stream for one of another media type."""


class OutOfOrder(WriteConflict):
    """The write's `order` does not follow that of an earlier write."""


class ProducerGap(WriteConflict):
    """A write of this producer is missing: `expected` is the number that it has to send next."""

    def __init__(self, detail: str, head: Cursor, expected: int) -> None:
        super().__init__(detail, head)
        self.expected = expected


class StaleProducer(Forbidden):
    """A producer with the same id has started since; `epoch` is the newest one."""

    def __init__(self, detail: str, epoch: int) -> None:
        super().__init__(detail)
        self.epoch = epoch


class StreamDeleted(Gone):
    """The stream was deleted or has expired, and its key is taken while forks of it live."""


class StreamFull(TooLarge):
    """The batch would exceed the bytes that the stream may hold; nothing of it was appended."""


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """How a stream is kept. Set when it is created, and never changed.

    `ttl`: seconds without a write, a read or a follower after which the stream is gone.
    `expires_at`: the time at which it is gone, used or not, in unix seconds. Without both, it stays
    until it is deleted. `max_bytes`: the most that its records may count for, each with
    RECORD_OVERHEAD; None: only the store's own bound holds. `trim`: a stream that is full drops its
    oldest records; without it, the stream refuses new ones.
    """

    content_type: str = "application/octet-stream"
    ttl: float | None = None
    max_bytes: int | None = None
    trim: bool = False
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class ProducerStamp:
    """The place of a write among those of one producer: sent again, the write is recognised.

    `epoch`: a producer counts it up when it starts anew. `number`: counts the writes of an epoch
    up by one, from 0.
    """

    id: str
    epoch: int
    number: int


@dataclass(frozen=True, slots=True)
class Batch:
    """One write: all of it happens, or nothing.

    `end`: a word for the reason why the stream ends with this batch ("complete", "failed");
    nothing follows it. A batch of nothing only shows that the stream is in use. The other fields
    are conditions. `content_type`: the stream's, as the writer knows it; only the media type is
    compared. `producer`: a write that was sent before is not done again. `order`: greater, byte by
    byte, than that of each earlier write that had one. `after`: the head that the writer knows.
    """

    records: Sequence[bytes] = ()
    end: str | None = None
    after: Cursor | None = None
    content_type: str | None = None
    producer: ProducerStamp | None = None
    order: bytes | None = None


#: A write of nothing.
NOTHING = Batch()


@dataclass(frozen=True, slots=True)
class Record:
    """One record. Its data is the writer's business; records are never split or joined."""

    cursor: Cursor
    data: bytes


@dataclass(frozen=True, slots=True)
class Fork:
    """The beginning of a stream: all records of the stream `source` up to `at`.

    `part`: the first record of the fork's own is so many bytes of the source's record after `at`.
    The creator writes it; the store only keeps the number, so that two forks can be told apart.
    """

    source: str
    at: Cursor
    part: int = 0


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """Where a stream is. `oldest` is the cursor that reads all that is retained, `head` that of
    the newest record; `end` is None while the stream is open. `life` is the epoch of the first
    record that was written under this key, whether there is one yet or not: it names this stream
    among all that ever have the key.
    """

    config: StreamConfig
    oldest: Cursor
    head: Cursor
    life: str
    end: str | None = None
    fork: Fork | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """The state after a write. `new` is False where an earlier write had done the work already.

    `accepted`: the newest number of the batch's producer.
    """

    info: StreamInfo
    new: bool = True
    accepted: int | None = None


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

    A position is a `Cursor`: sequences count the records of a stream up by one, from 1, and an
    epoch names a stretch of them that was written under one key without a loss. So a cursor never
    names other bytes. A key that is created again gets another epoch. A fork keeps the cursors of
    the records that it inherits, and gives those that follow an epoch of its own. A store that may
    have lost acknowledged records goes on under another epoch; cursors of the old one up to the
    loss stay good. A stream that is moved to another store keeps its cursors. Clients take cursors
    for opaque.

    Each method is one step: in all processes, no other call on the key happens in its midst. All
    but `create` and `list` raise NotFound where there is no such stream, as after its expiry, and
    StreamDeleted where only its forks keep it.
    """

    async def create(
        self, key: str, config: StreamConfig, first: Batch = NOTHING, fork: Fork | None = None
    ) -> Written:
        """Makes the stream, and writes the records and the end of `first` into it; or finds it.

        Of all that create a key at the same time, in any process, exactly one is told `new`. A
        stream that is there is left as it is, even where its config or its fork differs.

        A fork has all of its own from then on: config, end, producers, order. Of its source it
        holds the records: the source's key, once deleted or expired, is not free before all forks
        of it are gone, in turn.

        Raises Overloaded where the store is full, StreamFull where `first` is too large, Conflict
        where the key is that of a StreamDeleted. For a fork: NotFound where there is no source,
        Conflict where that is deleted or one of the two streams trims, BadCursor where `at` is no
        position of the source.
        """

    async def append(self, key: str, batch: Batch) -> Written:
        """Writes a batch; it is kept as safely as the store keeps anything when this returns.

        The conditions are looked at in this order. A producer's write that has ended the stream is
        not done again. StreamEnded. ContentTypeMismatch. For a producer: StaleProducer; BadRequest
        where an epoch does not begin with 0; not done again where its number is known; ProducerGap.
        OutOfOrder. StaleWriter. StreamFull.

        Raises Overloaded as well where the store is full, and Unavailable where the store cannot
        say whether it was written. The batch that ends a stream is taken in spite of full bounds,
        up to ENDING bytes. A producer is remembered as long as its stream.
        """

    async def read(self, key: str, after: Cursor | None, limit: int) -> Chunk:
        """The records after a cursor, up to `limit` bytes of data but at least one; None reads
        from the oldest.

        A limit of 0 asks for the state alone, and does not count as a use of the stream.
        """

    def follow(self, key: str, follower: StreamFollower) -> AbstractAsyncContextManager[None]:
        """Tells the follower of the stream: first a `skip`, then each record once, in order, then
        the end. For a stream that is followed no `ttl` passes. A fork's follower hears nothing of
        its source. Errors are raised on entering.
        """

    async def delete(self, key: str) -> None:
        """Removes the stream; its followers are told. Its records go with it, or with the last of
        its forks.
        """

    async def list(self, prefix: str, after: str | None, limit: int) -> list[str]:
        """Up to `limit` keys that begin with `prefix`, sorted by their bytes in UTF-8, from the
        first one that is greater than `after`. None of a StreamDeleted.
        """
