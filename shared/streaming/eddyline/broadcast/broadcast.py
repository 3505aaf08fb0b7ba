"""Broadcast: one journal read by very many connections."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from eddyline.broadcast.audience import Audience, Selector
from eddyline.broadcast.catch_up import PAGE_ENTRIES, Start
from eddyline.broadcast.coalescing import FlushGovernor
from eddyline.broadcast.formats import SSE, Format
from eddyline.broadcast.subscriber import Member, Subscriber
from eddyline.broadcast.timer_wheel import TimerWheel
from eddyline.broadcast.topic_index import Arrivals, TopicIndex
from eddyline.connection.base import Connection
from eddyline.connection.response import StreamResponse
from eddyline.errors import BadCursor, Unavailable
from eddyline.journal.base import EVERYTHING, Entry, Interest, Journal, Page
from eddyline.journal.cursor import EARLIEST, Cursor
from eddyline.journal.window import Window
from eddyline.policy import StreamPolicy
from eddyline.service.admission import Permit
from eddyline.service.drain import Drain
from eddyline.telemetry.base import StreamMeter
from eddyline.wire import sse

#: Recent frames kept in the process, so that a reader a little behind costs the journal nothing.
#: Bytes.
RECENT_BYTES = 8 * 1024 * 1024

logger: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Topics:
    """The plain selector: public entries of exact topics."""

    topics: frozenset[str]
    prefixes: ClassVar[frozenset[str]] = frozenset()

    def matches(self, entry: Entry) -> bool:
        return not entry.private and not self.topics.isdisjoint(entry.topics)

    def may_match(self, topic: str) -> bool:
        return topic in self.topics

    def shown(self, entry: Entry) -> Entry:
        topic = next(topic for topic in entry.topics if topic in self.topics)
        return replace(entry, topic=topic, alternates=())


class Broadcast:
    """Delivers a journal to connections; use it within `async with broadcast.run()`.

    Costs: per connection a subscriber (1.7 kB with its socket, docs/benchmarks.md); per event one
    encode, and one more for each form but server-sent events; per delivery one write.
    """

    #: A hub's journal has no end.
    finished = False

    def __init__(
        self, journal: Journal, meter: StreamMeter, policy: StreamPolicy, drain: Drain
    ) -> None:
        self.journal = journal
        self.meter = meter
        self.policy = policy
        self.timer_wheel: Final = TimerWheel()
        self.recent: Window = Window(Cursor("0", 0), RECENT_BYTES)
        self.subscribers: set[Subscriber] = set()
        #: Whether the journal was reached at all: before, there is no place to start from.
        self.synced: bool = False
        #: Called with each signal of the hub's processes.
        self.on_signal: list[Callable[[bytes], None]] = []
        self._arrivals = Arrivals()
        self._drain = drain
        self._governor = FlushGovernor(policy.flush_interval)
        self._audiences: dict[tuple[Selector, Format], Audience] = {}
        self._index: TopicIndex[Audience] = TopicIndex()
        self._heartbeats: dict[Format, tuple[Cursor, bytes]] = {}
        # Subscribers whose journal is ahead of the deliveries in this process.
        self._waiting: set[Subscriber] = set()
        self._reads: dict[tuple[Cursor | None, Interest], asyncio.Task[Page]] = {}

    @property
    def head(self) -> Cursor:
        """The last entry that was delivered here."""
        return self.recent.head

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Follows the journal; streams that are still open at the end are ended."""
        async with self.journal.follow(self):
            self._drain.on_begin(self, self._begin_drain)
            try:
                yield
            finally:
                self._drain.forget(self)
                for subscriber in list(self.subscribers):
                    subscriber.end("closed")
                self.timer_wheel.close()

    def response(
        self,
        permit: Permit,
        selector: Selector,
        *,
        after: Start = None,
        expires: float | None = None,
        first: bytes = b"",
        format: Format = SSE,
        member: Member | None = None,
        seconds: float | None = None,
        headers: Mapping[str, str] = sse.STREAM_HEADERS,
    ) -> StreamResponse:
        """The entries that `selector` matches, until the client leaves.

        `after`: where it starts, as `locate` tells; None: from now on. `expires`: unix seconds.
        `first`: bytes for this client alone, before all others. `member` is told of its coming and
        going. `seconds`: the longest that it may last, in place of the settings'.
        """
        requested = time.monotonic()
        permit.hand_over()

        def open(connection: Connection) -> None:
            self.meter.begin()
            audience = self._audience(selector, format)
            subscriber = Subscriber(self, audience, connection, permit, expires, member, seconds)
            self.subscribers.add(subscriber)
            subscriber.start(after, first)
            self.meter.first_byte.observe(time.monotonic() - requested)
            if self._drain.draining:
                self._end_within(self._drain.window, [subscriber])

        return StreamResponse(open, permit.release, format.media_type, headers)

    async def locate(self, id: str | None, selector: Selector) -> Start:
        """Where a client that resumes from an event id starts; raises Unavailable.

        A private entry's own id tells a stranger as much as an id that nobody gave: nothing.
        """
        if not self.synced:
            raise Unavailable("the journal is not reached yet: connect again in a moment", 2.0)
        if not id:
            return None
        if id == EARLIEST:
            return EARLIEST
        with suppress(BadCursor):
            return Cursor.parse(id)
        entry = await self.journal.locate(id)
        if entry is None or (entry.private and not selector.matches(entry)):
            return "unknown"
        return entry.cursor

    async def read(self, after: Cursor | None, interest: Interest = EVERYTHING) -> Page:
        """A page of the journal; subscribers that want the same one at the same time share it."""
        key = after, interest
        task = self._reads.get(key)
        if task is None:
            task = asyncio.create_task(self.journal.read(after, PAGE_ENTRIES, interest))
            self._reads[key] = task
            task.add_done_callback(lambda _: self._reads.pop(key, None))
        return await asyncio.shield(task)

    async def changed(self, selector: Selector, after: Cursor) -> None:
        """Returns once there may be an entry after a cursor that matches, or the process drains.

        A caller that is cancelled waits no more.
        """
        if self._drain.draining or self._may_have(selector, after):
            return
        await self._arrivals.wait(selector, after)

    def _may_have(self, selector: Selector, after: Cursor) -> bool:
        if after.sequence >= self.head.sequence:
            return after.epoch != self.head.epoch and after.sequence == self.head.sequence
        if self.recent.gap(after) is not None:
            return True
        entries = self.recent.page(after, len(self.recent)).entries
        return any(map(selector.matches, entries))

    def heartbeat(self, format: Format) -> bytes:
        """Moves a client's cursor to the head, so that a quiet topic's never ages out."""
        known = self._heartbeats.get(format)
        if known is None or known[0] is not self.head:
            known = self._heartbeats[format] = (self.head, format.heartbeat(self.head))
        return known[1]

    def wait(self, subscriber: Subscriber) -> None:
        """Resumes a subscriber that is behind as soon as more is delivered here."""
        self._waiting.add(subscriber)

    def stops(self, subscriber: Subscriber) -> None:
        """Ends a subscriber whose server stops, where no drain does: within the same window."""
        if not self._drain.draining:
            self._end_within(self._drain.window, [subscriber])

    def forget(self, subscriber: Subscriber, audience: Audience) -> None:
        """Called by a subscriber that has ended."""
        self.subscribers.discard(subscriber)
        self._waiting.discard(subscriber)
        audience.size -= 1
        if audience.size == 0:
            self._drop(audience)

    def log_failure(self, error: Exception) -> None:
        logger.error("a catch-up read failed: %s", error, exc_info=error)

    def deliver(self, entry: Entry) -> None:
        cursor = entry.cursor
        if cursor.sequence != self.head.sequence + 1:
            self.skip(Cursor(cursor.epoch, cursor.sequence - 1))
        self.recent.add(entry)
        self._push(entry)
        self._arrivals.push(entry)
        if self._waiting:
            self._resume(self._waiting)

    def skip(self, head: Cursor) -> None:
        """A hole in the bus, or another epoch of the journal: all fall behind, and read the
        missing entries in the journal.
        """
        behind = {*self.subscribers, *self._waiting}
        for subscriber in self.subscribers:
            subscriber.fall_behind()
        self.recent = Window(head, RECENT_BYTES)
        self.synced = True
        self._resume(behind)
        self._arrivals.answer()

    def deliver_ephemeral(self, topic: str, data: str) -> None:
        frame = sse.encode(data)
        self._push(Entry(self.head, topic, frame, False, time.time(), ""))

    def signal(self, message: bytes) -> None:
        for hook in self.on_signal:
            hook(message)

    def _push(self, entry: Entry) -> None:
        for audience in self._index.candidates(entry):
            if audience.selector.matches(entry):
                audience.push(entry)

    def _resume(self, behind: set[Subscriber]) -> None:
        loop = asyncio.get_running_loop()
        for subscriber in behind:
            loop.call_soon(subscriber.resume)
        self._waiting.clear()

    def _audience(self, selector: Selector, format: Format) -> Audience:
        audience = self._audiences.get((selector, format))
        if audience is None:
            audience = Audience(selector, format, self.meter, self._governor)
            self._audiences[selector, format] = audience
            self._index.add(audience)
            self.meter.audiences.inc()
            self.meter.topics.set(self._index.topics)
        audience.size += 1
        return audience

    def _drop(self, audience: Audience) -> None:
        audience.close()
        del self._audiences[audience.selector, audience.format]
        self._index.remove(audience)
        self.meter.audiences.dec()
        self.meter.topics.set(self._index.topics)

    def _begin_drain(self, window: float) -> None:
        self._arrivals.answer()
        self._end_within(window)

    def _end_within(self, window: float, subscribers: list[Subscriber] | None = None) -> None:
        loop = asyncio.get_running_loop()
        for subscriber in list(self.subscribers) if subscribers is None else subscribers:
            delay = random.uniform(0, window)
            loop.call_later(delay, subscriber.drain, window - delay)
