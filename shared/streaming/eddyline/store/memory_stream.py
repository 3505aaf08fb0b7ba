"""One stream of the memory store: its records, and the bytes that they count for."""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from eddyline.journal.base import Gap
from eddyline.journal.cursor import Cursor, new_epoch
from eddyline.store.base import (
    ENDING,
    RECORD_OVERHEAD,
    Batch,
    Fork,
    Record,
    StreamConfig,
    StreamFollower,
    StreamFull,
    StreamInfo,
)
from eddyline.store.writers import Writers

#: Bytes that a stream takes beside its records and the texts that name it: objects and indexes.
STREAM_OVERHEAD = 1000

#: Bytes that a producer takes beside its id, and a span of records.
PRODUCER_OVERHEAD = 200
SPAN_OVERHEAD = 250

#: The part of a stream's bound that is trimmed at a time, at least.
TRIM = 16


@dataclass(frozen=True, slots=True)
class Span:
    """Records of one epoch, with the sequences from `first` to `last`; the list may go on."""

    epoch: str
    first: int
    last: int
    records: list[bytes]


class MemoryStream:
    """One stream. Sizes are in bytes, times in seconds on the store's clock."""

    __slots__ = (
        "_base",
        "_deadline",
        "_epoch",
        "_first",
        "_fixed",
        "_inherited",
        "_records",
        "_start",
        "config",
        "deleted",
        "end",
        "followers",
        "fork",
        "forks",
        "key",
        "size",
        "source",
        "used",
        "writers",
    )

    def __init__(
        self,
        key: str,
        config: StreamConfig,
        now: float,
        fork: Fork | None = None,
        source: "MemoryStream | None" = None,
    ) -> None:
        self.key: Final = key
        self.config: Final = config
        self.fork: Final = fork
        self.source: Final = source
        #: Bytes that the records count for, without those of the source.
        self.size: int = 0
        self.end: str | None = None
        self.followers: tuple[StreamFollower, ...] = ()
        self.writers: Writers = Writers()
        #: Streams that hold records of this one.
        self.forks: int = 0
        #: Whether only its forks keep it.
        self.deleted: bool = False
        #: When it was last used.
        self.used: float = now
        at = config.expires_at
        self._deadline = None if at is None else now + at - time.time()
        self._epoch = new_epoch()
        self._records: list[bytes] = []
        # The position that the stream begins at, and the records up to there.
        self._base = Cursor(self._epoch, 0) if fork is None else fork.at
        self._inherited = () if source is None else source.spans_until(self._base.sequence)
        # The oldest position of the source, which never trims.
        self._start = None if source is None else source.oldest
        # The sequence of the oldest record of its own, or of the next one where there is none.
        self._first = self._base.sequence + 1
        self._fixed = STREAM_OVERHEAD + SPAN_OVERHEAD * len(self._inherited)
        self._fixed += sys.getsizeof(key) + sys.getsizeof(config.content_type)

    @property
    def head(self) -> Cursor:
        if self._records or self._first > self._base.sequence + 1:
            return Cursor(self._epoch, self._first + len(self._records) - 1)
        return self._base

    @property
    def oldest(self) -> Cursor:
        return self._start or Cursor(self._epoch, self._first - 1)

    @property
    def info(self) -> StreamInfo:
        return StreamInfo(self.config, self.oldest, self.head, self._epoch, self.end, self.fork)

    @property
    def counted(self) -> int:
        """Bytes that it counts for. An open stream counts for its end from the start, so that
        there is room for it.
        """
        return self._fixed + self.size + (ENDING if self.end is None else 0)

    def expired(self, now: float) -> bool:
        if self.deleted:
            return False
        if self._deadline is not None and now >= self._deadline:
            return True
        ttl = self.config.ttl
        return ttl is not None and not self.followers and now - self.used >= ttl

    def gap(self, after: Cursor) -> Gap | None:
        if after == self.oldest:
            return None
        for span in self._spans():
            if span.epoch == after.epoch:
                if after.sequence < span.first:
                    return "trimmed"
                return "future" if after.sequence > span.last else None
        return "epoch"

    def read(self, after: Cursor | None, limit: int) -> list[Record]:
        records: list[Record] = []
        size = 0
        if limit <= 0:
            return records
        for record in self._records_from(0 if after is None else after.sequence + 1):
            size += len(record.data)
            if records and size > limit:
                break
            records.append(record)
            if size >= limit:
                break
        return records

    def spans_until(self, last: int) -> tuple[Span, ...]:
        """Its records up to a sequence."""
        spans = (span for span in self._spans() if span.first <= min(last, span.last))
        return tuple(Span(s.epoch, s.first, min(s.last, last), s.records) for s in spans)

    def _spans(self) -> Iterator[Span]:
        yield from self._inherited
        last = self._first + len(self._records) - 1
        yield Span(self._epoch, self._first, last, self._records)

    def _records_from(self, sequence: int) -> Iterator[Record]:
        for span in self._spans():
            for n in range(max(sequence, span.first), span.last + 1):
                yield Record(Cursor(span.epoch, n), span.records[n - span.first])

    def growth(self, batch: Batch) -> int:
        """Bytes by which a batch makes the stream grow, before it is trimmed."""
        added = size_of(batch) - (ENDING if batch.end is not None else 0)
        return added + self._growth_of_writers(batch)

    def _growth_of_writers(self, batch: Batch) -> int:
        size = 0
        if batch.producer is not None and batch.producer.id not in self.writers.producers:
            size += PRODUCER_OVERHEAD + sys.getsizeof(batch.producer.id)
        if batch.order is not None:
            size += max(0, len(batch.order) - len(self.writers.order or b""))
        return size

    def surplus(self, batch: Batch) -> list[bytes]:
        """The oldest records, which must be trimmed before the batch is written; raises where the
        stream is full.
        """
        most, size = self.config.max_bytes, size_of(batch)
        if most is None:
            return []
        excess = self.size + size - most - (ENDING if batch.end is not None else 0)
        if excess <= 0:
            return []
        if not self.config.trim or size > most:
            raise StreamFull(f"the stream {self.key[:80]!r} is full: it may hold {most} bytes")
        # Some more at once: all that stays is moved each time.
        return self._oldest(max(excess, most // TRIM))

    def _oldest(self, size: int) -> list[bytes]:
        """The oldest records that count for so many bytes together, or all."""
        count = counted = 0
        while counted < size and count < len(self._records):
            counted += len(self._records[count]) + RECORD_OVERHEAD
            count += 1
        return self._records[:count]

    def trim(self, surplus: Sequence[bytes]) -> None:
        del self._records[: len(surplus)]
        self._first += len(surplus)
        self.size -= size_of(Batch(surplus))

    def write(self, batch: Batch) -> list[Record]:
        first = self._first + len(self._records)
        self._fixed += self._growth_of_writers(batch)
        self.writers.note(batch)
        self._records += batch.records
        self.size += size_of(batch)
        self.end = batch.end
        cursors = (Cursor(self._epoch, first + n) for n in range(len(batch.records)))
        return [Record(*pair) for pair in zip(cursors, batch.records, strict=True)]


def size_of(batch: Batch) -> int:
    """Bytes that a batch counts for in its stream."""
    data = sum(map(len, batch.records)) + len(batch.end or "")
    return data + RECORD_OVERHEAD * len(batch.records)
