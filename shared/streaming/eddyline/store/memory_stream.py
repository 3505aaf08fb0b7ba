"""One stream of the memory store: its records, and the bytes that they count for."""

import sys
from typing import Final

from eddyline.journal.base import Gap
from eddyline.journal.cursor import Cursor, new_epoch
from eddyline.store.base import (
    ENDING,
    RECORD_OVERHEAD,
    Batch,
    Record,
    StaleWriter,
    StreamConfig,
    StreamEnded,
    StreamFollower,
    StreamFull,
    StreamInfo,
)

#: Bytes that a stream takes beside its records and the texts that name it: objects and indexes.
STREAM_OVERHEAD = 600

#: The part of a stream's bound that is trimmed at a time, at least.
TRIM = 16


class MemoryStream:
    """One stream. Sizes are in bytes, times in seconds on the store's clock."""

    __slots__ = (
        "_epoch",
        "_first",
        "_records",
        "config",
        "end",
        "fixed",
        "followers",
        "key",
        "size",
        "used",
    )

    def __init__(self, key: str, config: StreamConfig, now: float) -> None:
        self.key: Final = key
        self.config: Final = config
        #: Bytes that the stream counts for without its records.
        self.fixed: Final = (
            STREAM_OVERHEAD + sys.getsizeof(key) + sys.getsizeof(config.content_type)
        )
        #: Bytes that the records count for.
        self.size: int = 0
        self.end: str | None = None
        self.followers: tuple[StreamFollower, ...] = ()
        #: When it was last used.
        self.used: float = now
        self._epoch = new_epoch()
        self._records: list[bytes] = []
        # The sequence of the oldest record, or of the next one where there is none.
        self._first = 1

    @property
    def head(self) -> Cursor:
        return Cursor(self._epoch, self._first + len(self._records) - 1)

    @property
    def info(self) -> StreamInfo:
        return StreamInfo(self.config, Cursor(self._epoch, self._first - 1), self.head, self.end)

    def expired(self, now: float) -> bool:
        ttl = self.config.ttl
        return ttl is not None and not self.followers and now - self.used >= ttl

    def gap(self, after: Cursor) -> Gap | None:
        if after.epoch != self._epoch:
            return "epoch"
        if after.sequence < self._first - 1:
            return "trimmed"
        return "future" if after.sequence > self.head.sequence else None

    def read(self, after: Cursor | None, limit: int) -> list[Record]:
        at = 0 if after is None else after.sequence + 1 - self._first
        records: list[Record] = []
        size = 0
        while at < len(self._records) and size < limit:
            data = self._records[at]
            size += len(data)
            if records and size > limit:
                break
            records.append(Record(Cursor(self._epoch, self._first + at), data))
            at += 1
        return records

    def surplus(self, batch: Batch) -> list[bytes]:
        """The oldest records, which must be trimmed before the batch is written; raises where the
        stream refuses it.
        """
        name, most, size = repr(self.key[:80]), self.config.max_bytes, size_of(batch)
        if self.end is not None:
            raise StreamEnded(f"the stream {name} has ended: {self.end}", self.head)
        if batch.after not in (None, self.head):
            raise StaleWriter(f"the stream {name} is at {self.head}, not {batch.after}", self.head)
        if most is None:
            return []
        excess = self.size + size - most - (ENDING if batch.end is not None else 0)
        if excess <= 0:
            return []
        if not self.config.trim or size > most:
            raise StreamFull(f"the stream {name} is full: it may hold {most} bytes")
        # Some more at once: all that stays is moved each time.
        return self._oldest(max(excess, most // TRIM))

    def _oldest(self, size: int) -> list[bytes]:
        """The oldest records that count for so many bytes together, or all."""
        count = counted = 0
        while counted < size and count < len(self._records):
            counted += len(self._records[count]) + RECORD_OVERHEAD
            count += 1
        return self._records[:count]

    def trim(self, surplus: list[bytes]) -> None:
        del self._records[: len(surplus)]
        self._first += len(surplus)
        self.size -= size_of(Batch(surplus))

    def write(self, batch: Batch) -> list[Record]:
        first = self.head.sequence + 1
        self._records += batch.records
        self.size += size_of(batch)
        self.end = batch.end
        cursors = (Cursor(self._epoch, first + n) for n in range(len(batch.records)))
        return [Record(*pair) for pair in zip(cursors, batch.records, strict=True)]


def size_of(batch: Batch) -> int:
    """Bytes that a batch counts for."""
    data = sum(map(len, batch.records)) + len(batch.end or "")
    return data + RECORD_OVERHEAD * len(batch.records)
