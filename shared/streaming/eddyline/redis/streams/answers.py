"""The answers of the store's scripts, as the state of a stream or as an error."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import orjson

from eddyline.errors import BadCursor, BadRequest, Conflict, NotFound
from eddyline.journal.base import Gap
from eddyline.journal.cursor import Cursor
from eddyline.store.base import (
    Batch,
    ContentTypeMismatch,
    Fork,
    OutOfOrder,
    ProducerGap,
    Record,
    StaleProducer,
    StaleWriter,
    StreamConfig,
    StreamDeleted,
    StreamEnded,
    StreamFull,
    StreamInfo,
)

_CONFIG = ("content_type", "ttl", "max_bytes", "trim", "expires_at")


def config_to_json(config: StreamConfig) -> bytes:
    return orjson.dumps({name: getattr(config, name) for name in _CONFIG})


def fork_to_json(fork: Fork | None) -> bytes:
    return b"" if fork is None else orjson.dumps([fork.source, str(fork.at), fork.part])


@dataclass(frozen=True, slots=True)
class Answer:
    """The state of a stream after a script. `spans`: each epoch, and its first sequence."""

    info: StreamInfo
    spans: list[tuple[str, int]]
    next: int
    store: str

    @classmethod
    def parse(cls, values: Sequence[bytes]) -> "Answer":
        """The list that `info` of state.lua makes."""
        config, fork, life, text, first, next, start, end, head, store = (
            value.decode(errors="surrogatepass") for value in values
        )
        words = text.split()
        spans = [*zip(words[::2], map(int, words[1::2]), strict=True)]
        oldest = Cursor.parse(start) if start else Cursor(spans[0][0], int(first) - 1)
        info = StreamInfo(
            StreamConfig(**orjson.loads(config)),
            oldest,
            Cursor.parse(head),
            life,
            end[1:] if end else None,
            _fork_from_json(fork),
        )
        return cls(info, spans, int(next), store)

    def gap(self, after: Cursor) -> Gap | None:
        """Why the records after a cursor can't be told; None where they can."""
        if after == self.info.oldest:
            return None
        ends = [first for _, first in self.spans[1:]] + [self.next]
        for (epoch, first), end in zip(self.spans, ends, strict=True):
            if epoch == after.epoch:
                if after.sequence < max(first, self.info.oldest.sequence + 1):
                    return "trimmed"
                return "future" if after.sequence >= end else None
        return "epoch"

    def records(self, first: int, datas: Sequence[bytes]) -> list[Record]:
        """The records from a sequence on."""
        at, records = 0, []
        for sequence, data in enumerate(datas, first):
            while at + 1 < len(self.spans) and self.spans[at + 1][1] <= sequence:
                at += 1
            records.append(Record(Cursor(self.spans[at][0], sequence), data))
        return records


def _fork_from_json(text: str) -> Fork | None:
    if not text:
        return None
    source, at, part = orjson.loads(text)
    return Fork(source, Cursor.parse(at), part)


def refuse(key: str, answer: Sequence[bytes], batch: Batch, fork: Fork | None = None) -> NoReturn:
    """Raises the error that a script's answer says."""
    name, word = repr(key[:80]), answer[0].decode()
    facts = [fact.decode(errors="backslashreplace") for fact in answer[1:]]
    if word == "notfound":
        raise NotFound(f"there is no stream {name}: none was made, or it has expired")
    if word == "deleted":
        raise StreamDeleted(f"the stream {name} is gone: only forks of it live")
    if word == "full":
        raise StreamFull(f"the stream {name} is full: it may hold {facts[0]} bytes")
    if batch.producer is not None:
        _refuse_producer(name, word, facts, batch)
    _refuse_writer(name, word, facts, batch)
    _refuse_fork(name, word, facts, fork)
    raise AssertionError(word)


def _refuse_producer(name: str, word: str, facts: list[str], batch: Batch) -> None:
    stamp = batch.producer
    assert stamp is not None
    producer = f"the producer {stamp.id[:80]!r} of the stream {name}"
    if word == "staleproducer":
        text = f"{producer} has started anew: {facts[0]} is its epoch, not {stamp.epoch}"
        raise StaleProducer(text, int(facts[0]))
    if word == "badstart":
        raise BadRequest(f"{producer} begins its epoch with 0, not {stamp.number}")
    if word == "gap":
        text = f"{producer} has to send {facts[1]} next, not {stamp.number}"
        raise ProducerGap(text, Cursor.parse(facts[0]), int(facts[1]))


def _refuse_writer(name: str, word: str, facts: list[str], batch: Batch) -> None:
    if word == "ended":
        raise StreamEnded(f"the stream {name} has ended: {facts[1]}", Cursor.parse(facts[0]))
    if word == "media":
        own = orjson.loads(facts[1])["content_type"]
        text = f"the stream {name} is of {own!r}, not {(batch.content_type or '')[:80]!r}"
        raise ContentTypeMismatch(text, Cursor.parse(facts[0]))
    if word == "order":
        text = f"{batch.order!r} does not follow {facts[1]!r}, byte by byte"
        text = f"the stream {name} is written in order: {text}"
        raise OutOfOrder(text, Cursor.parse(facts[0]))
    if word == "stale":
        text = f"the stream {name} is at {facts[0]}, not {batch.after}"
        raise StaleWriter(text, Cursor.parse(facts[0]))


def _refuse_fork(name: str, word: str, facts: list[str], fork: Fork | None) -> None:
    source = repr("" if fork is None else fork.source[:80])
    if word == "taken":
        raise Conflict(f"the key {name} is not free: forks of its old stream live")
    if word == "nosource":
        raise NotFound(f"there is no stream {source}: none was made, or it has expired")
    if word == "sourcedeleted":
        raise Conflict(f"the stream {source} is gone: only forks of it live")
    if word == "trims":
        raise Conflict(f"{source} is not forked: a fork keeps all of its records")
    if word == "badfork" and fork is not None:
        raise BadCursor(f"{fork.at} is no position of the stream {source}: it is at {facts[0]}")
