"""Appends on their way to Redis: the arguments of append.lua, and its answers."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self, cast

from eddyline.journal.base import NewEntry, Outcome, Receipt, TopicBounds
from eddyline.journal.cursor import Cursor
from eddyline.redis.keys import HubKeys


@dataclass(slots=True, eq=False)
class Append:
    """One call of `append`, until its receipts are there."""

    batch: Sequence[NewEntry]
    records: list[bytes]
    deadline: float
    receipts: "asyncio.Future[list[Receipt]]"
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = sum(map(len, self.records))


@dataclass(frozen=True, slots=True)
class Batch:
    """Several appends as append.lua takes them: keys of idempotency, entries, their number."""

    keys: list[str]
    entries: list[bytes | str | int]
    count: int

    @classmethod
    def from_appends(
        cls,
        appends: Sequence[Append],
        names: HubKeys,
        of_topic: Callable[[str], TopicBounds | None],
    ) -> Self:
        keys: list[str] = []
        entries: list[bytes | str | int] = []
        count = 0
        for append in appends:
            for new, record in zip(append.batch, append.records, strict=True):
                count += 1
                key, digest = 0, ""
                if new.key is not None:
                    keys.append(names.key(f"key:{new.key}"))
                    key, digest = len(keys), new.digest()
                bounds, topics = of_topic(new.topic), (new.topic, *new.alternates)
                limits = "" if bounds is None else _as_text(bounds)
                entries += (record, new.id or "", key, digest, limits, len(topics), *topics)
        return cls(keys, entries, count)


def _as_text(bounds: TopicBounds) -> str:
    """Entries, bytes and milliseconds; 0 is no bound."""
    age = 0 if bounds.max_age is None else max(1, round(bounds.max_age * 1000))
    return f"{bounds.max_entries or 0} {bounds.max_bytes or 0} {age}"


def known_receipt(outcome: bytes, epoch: bytes, sequence: bytes | int, id: bytes) -> Receipt:
    """The receipt of an entry that was not appended."""
    cursor = Cursor(epoch.decode(), int(sequence))
    return Receipt(cursor, id.decode() or str(cursor), cast(Outcome, outcome.decode()))
