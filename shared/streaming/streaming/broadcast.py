"""Broadcast: one journal read by very many connections."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streaming import sse
from streaming.audience import Audience, Selector
from streaming.connection import Connection, StreamResponse
from streaming.cursor import Cursor
from streaming.journal import Entry, Journal, Window
from streaming.limits import Lease
from streaming.metrics import StreamMetrics
from streaming.subscriber import Subscriber
from streaming.timetable import Timetable

if TYPE_CHECKING:
    from streaming.app import Context

#: Recent frames kept in the process, so that a reader a little behind costs the journal nothing.
#: Bytes.
RECENT_BYTES = 8 * 1024 * 1024

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Topics:
    """The plain selector: public entries of exact topics."""

    topics: frozenset[str]

    def matches(self, entry: Entry) -> bool:
        return entry.topic in self.topics and not entry.private


class Broadcast:
    """Delivers a journal to connections; use it within `async with broadcast.run()`.

    Costs: per connection ~0.3 kB, per event one encode, per delivery one write.
    """

    def __init__(self, journal: Journal, metrics: StreamMetrics, context: "Context") -> None:
        self.journal = journal
        self.metrics = metrics
        self.settings = context.settings
        self.timetable = Timetable()
        self.recent = Window(Cursor("0", 0), RECENT_BYTES)
        self.subscribers: set[Subscriber] = set()
        self._drain = context.drain
        self._audiences: dict[Selector, Audience] = {}
        # By exact topic, a look-up however many there are; the others are few, and each is asked.
        self._by_topic: dict[str, set[Audience]] = {}
        self._patterns: set[Audience] = set()
        self._heartbeat = (Cursor("0", 0), b"")

    @property
    def head(self) -> Cursor:
        """The last entry that was delivered here."""
        return self.recent.head

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Follows the journal; streams that are still open at the end are ended."""
        async with self.journal.follow(self._deliver) as head:
            self.recent = Window(head, RECENT_BYTES)
            self._drain.on_begin(self, self._end_within)
            try:
                yield
            finally:
                self._drain.forget(self)
                for subscriber in list(self.subscribers):
                    subscriber.end("closed")
                self.timetable.close()

    def response(
        self,
        lease: Lease,
        selector: Selector,
        *,
        after: str | None = None,
        expires: float | None = None,
        first: bytes = b"",
    ) -> StreamResponse:
        """The entries that `selector` matches as server-sent events, until the client leaves.

        `after`: an event id, or `earliest`; None: from now on. `expires`: unix seconds. `first`:
        frames for this client alone, before all others.
        """
        requested = time.monotonic()

        def open(connection: Connection) -> None:
            self.metrics.begin()
            subscriber = Subscriber(self, self._audience(selector), connection, lease, expires)
            self.subscribers.add(subscriber)
            subscriber.start(after, first)
            self.metrics.first_byte.observe(time.monotonic() - requested)
            if self._drain.draining:
                self._end_within(self._drain.window, [subscriber])

        return StreamResponse(open, lease.release, sse.EVENT_STREAM, sse.STREAM_HEADERS)

    def heartbeat(self) -> bytes:
        """A comment that moves the client's cursor to the head, so that a quiet topic's never
        ages out.
        """
        if self._heartbeat[0] is not self.head:
            self._heartbeat = (self.head, sse.cursor_frame(str(self.head)))
        return self._heartbeat[1]

    def forget(self, subscriber: Subscriber, audience: Audience) -> None:
        """Called by a subscriber that has ended."""
        self.subscribers.discard(subscriber)
        audience.size -= 1
        if audience.size == 0:
            self._drop(audience)

    def log_failure(self, error: Exception) -> None:
        logger.error("a catch-up read failed: %s", error, exc_info=error)

    def _deliver(self, entry: Entry) -> None:
        cursor, head = entry.cursor, self.head
        contiguous = cursor.epoch == head.epoch and cursor.sequence == head.sequence + 1
        if not contiguous:
            self._skip_to(Cursor(cursor.epoch, cursor.sequence - 1))
        self.recent.add(entry)
        for audience in self._by_topic.get(entry.topic, ()):
            if audience.selector.matches(entry):
                audience.push(entry)
        for audience in self._patterns:
            if audience.selector.matches(entry):
                audience.push(entry)

    def _skip_to(self, head: Cursor) -> None:
        """A hole in the bus, or a new epoch: all fall behind, and read in the journal what is
        missing.
        """
        behind = list(self.subscribers)
        for subscriber in behind:
            subscriber.fall_behind()
        self.recent = Window(head, RECENT_BYTES)
        loop = asyncio.get_running_loop()
        for subscriber in behind:
            loop.call_soon(subscriber.resume)

    def _audience(self, selector: Selector) -> Audience:
        audience = self._audiences.get(selector)
        if audience is None:
            audience = Audience(selector, self.metrics, self.settings.flush_interval)
            self._audiences[selector] = audience
            if selector.topics is None:
                self._patterns.add(audience)
            for topic in selector.topics or ():
                self._by_topic.setdefault(topic, set()).add(audience)
        audience.size += 1
        return audience

    def _drop(self, audience: Audience) -> None:
        audience.close()
        del self._audiences[audience.selector]
        self._patterns.discard(audience)
        for topic in audience.selector.topics or ():
            self._by_topic[topic].discard(audience)
            if not self._by_topic[topic]:
                del self._by_topic[topic]

    def _end_within(self, window: float, subscribers: list[Subscriber] | None = None) -> None:
        loop = asyncio.get_running_loop()
        for subscriber in list(self.subscribers) if subscribers is None else subscribers:
            delay = random.uniform(0, window)
            loop.call_later(delay, subscriber.drain, window - delay)
