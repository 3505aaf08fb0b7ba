"""The state of a stream that the writes in its log lead to. No file is touched here."""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from eddyline.journal.base import Gap
from eddyline.journal.cursor import Cursor, new_epoch
from eddyline.store.base import (
    ENDING,
    RECORD_OVERHEAD,
    Batch,
    Fork,
    ProducerStamp,
    StreamConfig,
    StreamFull,
    StreamInfo,
)
from eddyline.store.writers import Writers

#: The part of a stream's bound that is trimmed at a time, at least.
TRIM = 16


@dataclass(frozen=True, slots=True)
class Write:
    """One batch, as its frame says. `sizes`: the bytes of each record; `check`: their CRC-32.

    `dropped`: how many of the oldest records were trimmed for it. `epoch`: the one that it begins,
    if any, and `run` the run of the writer that it was begun in.
    """

    sizes: list[int]
    check: int
    end: str | None = None
    producer: ProducerStamp | None = None
    order: bytes | None = None
    dropped: int = 0
    epoch: str | None = None
    run: int = 0

    def to_json(self) -> dict[str, Any]:
        value: dict[str, Any] = {"sizes": self.sizes, "check": self.check}
        if self.end is not None:
            value["end"] = self.end
        if self.producer is not None:
            value["producer"] = [self.producer.id, self.producer.epoch, self.producer.number]
        if self.order is not None:
            value["order"] = self.order.hex()
        if self.dropped:
            value["dropped"] = self.dropped
        if self.epoch is not None:
            value["epoch"], value["run"] = self.epoch, self.run
        return value

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        stamp, order = value.get("producer"), value.get("order")
        return cls(
            value["sizes"],
            value["check"],
            value.get("end"),
            None if stamp is None else ProducerStamp(*stamp),
            None if order is None else bytes.fromhex(order),
            value.get("dropped", 0),
            value.get("epoch"),
            value.get("run", 0),
        )


@dataclass(frozen=True, slots=True)
class Span:
    """Records of one epoch: the sequences from `first` to `last`."""

    epoch: str
    first: int
    last: int


class StreamState:
    """Where a stream is after a number of writes."""

    __slots__ = (
        "_sizes",
        "_spans",
        "base",
        "config",
        "end",
        "first",
        "fork",
        "life",
        "next",
        "size",
        "start",
        "writers",
    )

    def __init__(
        self,
        config: StreamConfig,
        life: str,
        fork: Fork | None = None,
        inherited: Iterable[Span] = (),
        start: Cursor | None = None,
    ) -> None:
        self.config: StreamConfig = config
        self.life: str = life
        self.fork: Fork | None = fork
        #: The position that it begins at, and for a fork the oldest one of its source.
        self.base: Cursor = Cursor(life, 0) if fork is None else fork.at
        self.start: Cursor | None = start
        #: The sequences of the oldest record of its own, and of the next one.
        self.first: int = self.base.sequence + 1
        self.next: int = self.first
        #: Bytes that its own records count for.
        self.size: int = 0
        self.end: str | None = None
        self.writers: Writers = Writers()
        self._spans = [*inherited, Span(life, self.next, self.next - 1)]
        # Of each record that it keeps; only a stream that trims needs them.
        self._sizes: deque[int] | None = deque() if config.trim else None

    def copy(self) -> Self:
        other = type(self).__new__(type(self))
        for name in self.__slots__:
            setattr(other, name, getattr(self, name))
        other.writers = Writers(
            dict(self.writers.producers), self.writers.order, self.writers.ender
        )
        other._spans = list(self._spans)
        other._sizes = None if self._sizes is None else deque(self._sizes)
        return other

    @property
    def head(self) -> Cursor:
        for span in reversed(self._spans):
            if span.last >= span.first and span.last > self.base.sequence:
                return Cursor(span.epoch, span.last)
        return self.base

    @property
    def oldest(self) -> Cursor:
        return self.start or Cursor(self._spans[0].epoch, self.first - 1)

    @property
    def info(self) -> StreamInfo:
        return StreamInfo(self.config, self.oldest, self.head, self.life, self.end, self.fork)

    @property
    def epoch(self) -> str:
        """The epoch of the records to come."""
        return self._spans[-1].epoch

    def gap(self, after: Cursor) -> Gap | None:
        if after == self.oldest:
            return None
        for span in self._spans:
            if span.epoch == after.epoch:
                if after.sequence < span.first:
                    return "trimmed"
                return "future" if after.sequence > span.last else None
        return "epoch"

    @property
    def spans(self) -> tuple[Span, ...]:
        """The epochs of its records, those of its source included."""
        return tuple(self._spans)

    def spans_until(self, last: int) -> list[Span]:
        """The epochs of its records up to a sequence."""
        spans = (span for span in self._spans if span.first <= min(last, span.last))
        return [replace(span, last=min(span.last, last)) for span in spans]

    def surplus(self, name: str, batch: Batch) -> int:
        """How many of its oldest records must go for a batch; raises StreamFull."""
        most, size = self.config.max_bytes, counted(batch.records, batch.end)
        if most is None:
            return 0
        excess = self.size + size - most - (ENDING if batch.end is not None else 0)
        if excess <= 0:
            return 0
        if self._sizes is None or size > most:
            raise StreamFull(f"the stream {name} is full: it may hold {most} bytes")
        # Some more at once: a trim costs more than it frees where it is of a single record.
        count = freed = 0
        for each in self._sizes:
            if freed >= max(excess, most // TRIM):
                break
            count, freed = count + 1, freed + each + RECORD_OVERHEAD
        return count

    def apply(self, write: Write) -> None:
        """The state after one write more."""
        self._drop(write.dropped)
        if write.epoch is not None and write.epoch != self.epoch:
            self._spans.append(Span(write.epoch, self.next, self.next - 1))
        if self._sizes is not None:
            self._sizes.extend(write.sizes)
        self.size += sum(write.sizes) + RECORD_OVERHEAD * len(write.sizes) + len(write.end or "")
        self.next += len(write.sizes)
        self._spans[-1] = replace(self._spans[-1], last=self.next - 1)
        self.end = write.end
        self.writers.note(Batch(end=write.end, producer=write.producer, order=write.order))

    def _drop(self, count: int) -> None:
        if not count or self._sizes is None:
            return
        for _ in range(count):
            self.size -= self._sizes.popleft() + RECORD_OVERHEAD
        self.first += count
        kept = [span for span in self._spans[:-1] if span.last >= self.first]
        last = self._spans[-1]
        self._spans = [replace(span, first=max(span.first, self.first)) for span in (*kept, last)]

    def to_json(self) -> dict[str, Any]:
        """All of it, for the head of a segment."""
        fork, start, writers = self.fork, self.start, self.writers
        ender = writers.ender
        return {
            "config": _config_to_json(self.config),
            "life": self.life,
            "fork": None if fork is None else [fork.source, str(fork.at), fork.part],
            "start": None if start is None else str(start),
            "spans": [[span.epoch, span.first, span.last] for span in self._spans],
            "first": self.first,
            "next": self.next,
            "size": self.size,
            "producers": [[s.id, s.epoch, s.number] for s in writers.producers.values()],
            "order": None if writers.order is None else writers.order.hex(),
            "end": self.end,
            "ender": None if ender is None else [ender.id, ender.epoch, ender.number],
            "sizes": None if self._sizes is None else list(self._sizes),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        fork = value["fork"]
        if fork is not None:
            fork = Fork(fork[0], Cursor.parse(fork[1]), fork[2])
        start = value["start"] and Cursor.parse(value["start"])
        state = cls(StreamConfig(**value["config"]), value["life"], fork, (), start)
        state._spans = [Span(*span) for span in value["spans"]]
        state.first, state.next, state.size = value["first"], value["next"], value["size"]
        state.end = value["end"]
        stamps = [ProducerStamp(*stamp) for stamp in value["producers"]]
        order, ender = value["order"], value["ender"]
        state.writers = Writers(
            {stamp.id: stamp for stamp in stamps},
            None if order is None else bytes.fromhex(order),
            None if ender is None else ProducerStamp(*ender),
        )
        state._sizes = None if value["sizes"] is None else deque(value["sizes"])
        return state


def new_state(
    config: StreamConfig, fork: Fork | None = None, source: StreamState | None = None
) -> StreamState:
    """A stream without records of its own."""
    if fork is None or source is None:
        return StreamState(config, new_epoch())
    inherited = source.spans_until(fork.at.sequence)
    return StreamState(config, new_epoch(), fork, inherited, source.oldest)


def cursors(spans: Sequence[Span], first: int, count: int) -> Iterator[Cursor]:
    """The cursors of so many records from a sequence on, which all lie in the spans."""
    at = bisect_left(spans, first, key=lambda span: span.last)
    for sequence in range(first, first + count):
        while spans[at].last < sequence:
            at += 1
        yield Cursor(spans[at].epoch, sequence)


def counted(records: Iterable[bytes], end: str | None) -> int:
    """Bytes that a batch counts for in its stream."""
    return sum(len(record) + RECORD_OVERHEAD for record in records) + len(end or "")


def _config_to_json(config: StreamConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in config.__slots__}
