"""Journals: ordered entries, read from a cursor; and the backend that keeps those of a hub."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal, Protocol

from eddyline.errors import BadRequest
from eddyline.journal.cursor import Cursor, check_own_id
from eddyline.journal.state import State
from eddyline.wire import sse

#: Why the entries after a cursor cannot be read: they are no longer retained, the cursor is of
#: another life of the journal, it is ahead of the head, or it is an id that nobody knows.
Gap = Literal["trimmed", "epoch", "future", "unknown"]


#: How an append went: added now; added before, under the same idempotency key or own id; or
#: refused, because another entry has that key (`conflict`), or that id (`taken`).
Outcome = Literal["appended", "repeated", "conflict", "taken"]


#: Types of events that begin so are ours: clients trust them (`eddyline.reset`).
OWN_TYPES = "eddyline."


def check_event_type(event: str | None) -> None:
    """Raises BadRequest for an event type that no publisher may use."""
    if event is not None and event.startswith(OWN_TYPES):
        raise BadRequest(
            f"event: must not begin with {OWN_TYPES!r}, as our own events do (got {event[:80]!r})"
        )


#: Seconds for which an idempotency key is remembered, where nothing else is said.
KEY_AGE = 3600.0


# One of each of these three is made per event, and never changed. Not frozen: making one would
# take seven times as long (2.3 µs, of the 15 that an event in a batch costs in all).


@dataclass(slots=True)
class NewEntry:
    """An entry as a publisher gives it.

    `id`: its own event id, in place of the cursor; `retry` is in milliseconds; `alternates`: more
    topics of the same entry; `json`: `data` is a JSON text; `key`: an idempotency key.
    """

    topic: str
    data: str
    event: str | None = None
    id: str | None = None
    retry: int | None = None
    private: bool = False
    alternates: tuple[str, ...] = ()
    json: bool = False
    key: str | None = None

    def digest(self) -> str:
        """A text that two entries under one idempotency key share only if they are the same."""
        fields = (self.topic, self.data, self.event, self.id, self.retry, self.private)
        text = repr((*fields, self.alternates, self.json))
        return blake2b(text.encode(errors="surrogatepass"), digest_size=9).hexdigest()


@dataclass(slots=True)
class Entry:
    """One entry of a journal; `time` is in unix seconds.

    `frame` is the event as server-sent events have it, encoded once for all subscribers. `data`,
    `event` and `retry` are read from it: held beside it, they would halve the entries that fit into
    the journal's bounds.
    """

    cursor: Cursor
    topic: str
    frame: bytes
    private: bool
    time: float
    id: str
    alternates: tuple[str, ...] = ()
    json: bool = False

    @classmethod
    def from_new(cls, new: NewEntry, cursor: Cursor, at: float) -> "Entry":
        if new.id is not None:
            check_own_id(new.id)
        id = new.id if new.id is not None else str(cursor)
        frame = sse.encode(new.data, event=new.event, id=id, retry=new.retry)
        return cls(cursor, new.topic, frame, new.private, at, id, new.alternates, new.json)

    @property
    def topics(self) -> tuple[str, ...]:
        """The canonical topic first."""
        return (self.topic, *self.alternates)

    @property
    def data(self) -> str:
        """The publisher's text, with LF as its line end; a JSON text where `json` is set."""
        return sse.decode(self.frame)[1]

    @property
    def event(self) -> str | None:
        return sse.decode(self.frame)[0]

    @property
    def retry(self) -> int | None:
        """Milliseconds."""
        return sse.retry_of(self.frame)


@dataclass(slots=True)
class Receipt:
    """Where an appended entry is, and under which id."""

    cursor: Cursor
    id: str
    outcome: Outcome = "appended"


@dataclass(frozen=True, slots=True)
class Page:
    """Entries that follow a cursor, or the reason why they cannot be read.

    `oldest` is the cursor that reads all that is retained, `head` that of the newest entry
    (sequence 0 where there was none), which is retained if any is. `lost`: the topics of entries
    after the cursor that are not retained any more: their sequences are missing among the entries.
    `gap` is `trimmed` only where that is not known. `starts`: of each topic of `Interest.last`, the
    sequence before the entries that were asked for; `oldest` is the least of them.
    """

    entries: list[Entry]
    oldest: Cursor
    head: Cursor
    gap: Gap | None = None
    lost: tuple[str, ...] = ()
    starts: Mapping[str, int] = field(default_factory=dict)

    def gap_of(self, may_match: Callable[[str], bool]) -> Gap | None:
        """The gap for a reader of the topics that match."""
        return self.gap or ("trimmed" if any(map(may_match, self.lost)) else None)

    def start(self, after: Cursor | None) -> Cursor:
        """The place from which the entries go on, where `after` misses none that it needs."""
        if after is None or (self.lost and after.sequence < self.oldest.sequence):
            return self.oldest
        return after


#: Topics with bounds of their own, and a number of their newest entries.
Last = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Interest:
    """The losses that count for a reader of pages: those after the sequence `since`, or after its
    cursor where that is newer or no longer retained; of `topics` alone, where there are any.

    A reader that asked for all that is retained, at a moment when `since` was the head, misses no
    entry that a topic with bounds of its own drops before the reader comes to it.

    `last`: in place of a cursor, topics with bounds of their own, and how many of their newest
    entries the page begins with: before the oldest of these.
    """

    since: int = 0
    topics: frozenset[str] | None = None
    last: Last = ()


EVERYTHING = Interest()


class Follower(Protocol):
    """An observer of a journal. It is called in the event loop, and never blocks."""

    def deliver(self, entry: Entry) -> None:
        """The entry that follows the last one, or the cursor last skipped to."""

    def skip(self, head: Cursor) -> None:
        """Entries up to `head` are not delivered: a subscriber that needs them reads them."""

    def deliver_ephemeral(self, topic: str, data: str) -> None:
        """An event beside the journal: without a cursor, for subscribers of this moment."""

    def signal(self, message: bytes) -> None:
        """A message of one process of this hub to all of them (`Signals`)."""


class Signals(Protocol):
    """Messages to every process that follows a hub, the sender included; at most once each."""

    async def signal(self, message: bytes) -> None: ...


class Journal(Protocol):
    """Ordered entries of one hub. Sequences count up by one, from 1, over all epochs of a life."""

    async def append(self, batch: Sequence[NewEntry]) -> list[Receipt]:
        """Adds entries, in order; they are in the journal when this returns, one receipt each.

        An own id names one entry: the same entry again is `repeated`, another one `taken`. So is
        each once the entry is not retained any more, for as long as its id is known.
        Raises BadRequest for an own id like a cursor (`check_own_id`), and Unavailable where the
        journal cannot promise that the entries are there.
        """

    async def read(self, after: Cursor | None, limit: int, interest: Interest = EVERYTHING) -> Page:
        """Up to `limit` entries after a cursor; None reads from the oldest, and misses none."""

    async def locate(self, id: str) -> Entry | None:
        """The entry with a publisher's own id; its `frame` may be missing. The time that it takes
        must not tell a stranger whether there is one.
        """

    async def topics(self, limit: int, before: int | None = None) -> list[tuple[str, Cursor]]:
        """Retained topics with their newest entries, the newest first; `before`: a sequence."""

    def follow(self, follower: Follower) -> AbstractAsyncContextManager[None]:
        """Calls the follower while the block runs: first `skip`, then each entry once, in order."""


@dataclass(frozen=True, slots=True)
class TopicBounds:
    """How much is retained of one topic, its newest entry at least; None: as the journal has it.

    Bytes are counted as the journal counts them. `max_age` is in seconds.
    """

    max_entries: int | None = None
    max_bytes: int | None = None
    max_age: float | None = None


def unbounded(topic: str) -> TopicBounds | None:
    """The bounds of topics where only the journal's own hold."""
    return None


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a journal retains; the oldest entries go first. Ages are in seconds.

    `max_entries`: a journal in memory has no need of it. `key_age`: how long idempotency keys are
    remembered; longer than any append takes. `of_topic`: the bounds of a topic's own, beside these;
    the newest entry of the journal may outlive them.
    """

    max_bytes: int = 64 * 1024 * 1024
    max_entries: int = 1_000_000
    max_age: float = 3600.0
    key_age: float = KEY_AGE
    of_topic: Callable[[str], TopicBounds | None] = unbounded


class Backend(Protocol):
    """The place of one hub: its journal, and the values and messages that its processes share."""

    @property
    def journal(self) -> Journal: ...

    @property
    def state(self) -> State: ...

    @property
    def signals(self) -> Signals: ...

    def fault(self) -> str | None:
        """Why streams may be behind at this moment; None where all is well.

        Called for each readiness check: it never blocks, and asks nobody.
        """

    def run(self) -> AbstractAsyncContextManager[None]:
        """Entered once, before the first use of the three; left when no stream is open any more.

        It goes on where the server is away: calls raise Unavailable until it is there.
        """
