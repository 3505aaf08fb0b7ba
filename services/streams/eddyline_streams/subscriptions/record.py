"""One subscription as it is kept: its configuration, a cursor for each stream, and its wake."""

import secrets
import time
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Self

import orjson

from eddyline.durable.offset import to_cursor

Kind = Literal["webhook", "pull-wake"]


@dataclass(frozen=True, slots=True)
class Config:
    """As its creator wants it. `lease` is in seconds."""

    type: Kind
    pattern: str | None
    streams: tuple[str, ...]
    webhook: str | None
    wake_stream: str | None
    lease: float
    description: str | None


@dataclass(frozen=True, slots=True)
class Link:
    """One stream of a subscription. `acked`: the offset up to which it is done."""

    acked: str
    explicit: bool = False
    glob: bool = False

    @property
    def type(self) -> str:
        return "explicit" if self.explicit else "glob"


@dataclass(frozen=True, slots=True)
class Wake:
    """A wake in flight. `tails`: the ends of the streams when it was made. `until`: the end of the
    lease, in unix seconds; None: nobody has claimed it yet.
    """

    id: str
    tails: dict[str, str]
    holder: str | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """`base` is the URL of the root of all streams, as its creator has reached it. `not_before`: a
    webhook that failed is tried again then; `failures`: how often it has failed in a row.
    """

    id: str
    config: Config
    base: str
    created: float
    links: dict[str, Link] = field(default_factory=dict)
    generation: int = 0
    wake: Wake | None = None
    failures: int = 0
    not_before: float = 0.0

    def encode(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def decode(cls, data: bytes) -> Self:
        value: dict[str, Any] = orjson.loads(data)
        config = value.pop("config")
        config["streams"] = tuple(config["streams"])
        links = {path: Link(**link) for path, link in value.pop("links").items()}
        wake = value.pop("wake")
        return cls(config=Config(**config), links=links, wake=wake and Wake(**wake), **value)

    def woken(self, tails: dict[str, str]) -> "Subscription":
        """The next generation, with a wake. A webhook's lease begins at once."""
        now = time.time()
        until = now + self.config.lease if self.config.type == "webhook" else None
        wake = Wake(f"w_{secrets.token_urlsafe(12)}", tails, None, until)
        return replace(self, generation=self.generation + 1, wake=wake)

    def acked(self, offsets: dict[str, str]) -> "Subscription":
        """An acknowledgement never goes back, unless the stream is another one by now."""
        links = dict(self.links)
        for path, offset in offsets.items():
            if path in links and is_behind(links[path].acked, offset):
                links[path] = replace(links[path], acked=offset)
        return replace(self, links=links)

    def extended(self, holder: str | None) -> "Subscription":
        assert self.wake is not None
        until = time.time() + self.config.lease
        return replace(self, wake=replace(self.wake, holder=holder, until=until))

    def pending(self, tails: dict[str, str]) -> list[str]:
        """The paths whose streams have come further than they are acknowledged."""
        return [
            path
            for path, link in self.links.items()
            if path in tails and is_behind(link.acked, tails[path])
        ]


def is_behind(acked: str, tail: str) -> bool:
    """Whether a stream has records after an offset; so has a new stream at the path of an old."""
    old, new = to_cursor(acked), to_cursor(tail)
    if new is None or new.sequence == 0:
        return False
    return old is None or new.sequence > old.sequence or new.epoch != old.epoch
