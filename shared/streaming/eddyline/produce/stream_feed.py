"""One stream of a store on its way to many connections.

Its readers are the subscribers and audiences of a broadcast: shared bytes, catch-up in place of
queues, heartbeats, stalls, deadlines. A `Broadcast` for each stream would fit as well. But a
process has thousands of small streams, and a stream has no topics to select by. So there is no
index here, and one timer wheel and one governor serve all streams.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from eddyline.broadcast.audience import Audience
from eddyline.broadcast.catch_up import Start
from eddyline.broadcast.coalescing import FlushGovernor
from eddyline.broadcast.formats import Format
from eddyline.broadcast.subscriber import Subscriber
from eddyline.broadcast.timer_wheel import TimerWheel
from eddyline.connection.base import Connection
from eddyline.connection.response import StreamResponse
from eddyline.journal.base import EVERYTHING, Entry, Interest, Page
from eddyline.journal.cursor import Cursor
from eddyline.journal.window import Window
from eddyline.policy import StreamPolicy
from eddyline.produce.polls import Polls
from eddyline.service.admission import Permit
from eddyline.service.drain import Drain
from eddyline.store.base import Record, StreamStore
from eddyline.telemetry.base import Reason, StreamMeter
from eddyline.wire import sse

#: Recent frames that are kept for a stream while it has subscribers, so that a subscriber a little
#: behind does not ask the store. Bytes.
RECENT_BYTES = 64 * 1024

#: A page of a stream, in bytes of data.
PAGE_BYTES = 64 * 1024

logger: logging.Logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Everything:
    """The selector of a stream: all of its records."""

    topics: frozenset[str] = frozenset()
    prefixes: frozenset[str] = frozenset([""])

    def matches(self, entry: Entry) -> bool:
        return True

    def may_match(self, topic: str) -> bool:
        return True

    def shown(self, entry: Entry) -> Entry:
        return entry


@dataclass(frozen=True, slots=True)
class FeedContext:
    """The parts that all streams of a process share.

    `render` makes the entry for subscribers of a record. It is called once for each record while
    a stream has subscribers, and for the records of each page that one of them reads.
    """

    store: StreamStore
    render: Callable[[Record], Entry]
    meter: StreamMeter
    policy: StreamPolicy
    drain: Drain
    timer_wheel: TimerWheel
    governor: FlushGovernor


class StreamFeed:
    """One stream, followed for all its subscribers in this process."""

    __slots__ = (
        "_audiences",
        "_context",
        "_forget",
        "_reads",
        "_waiting",
        "epoch",
        "finished",
        "following",
        "holders",
        "key",
        "on_end",
        "polls",
        "recent",
        "subscribers",
        "unused",
    )

    def __init__(
        self, context: FeedContext, key: str, epoch: str, forget: Callable[["StreamFeed"], None]
    ) -> None:
        self.key: str = key
        self.epoch: str = epoch
        #: Whether the stream has ended: no record will follow `head`.
        self.finished: bool = False
        #: Called when the stream has ended, or is gone.
        self.on_end: Callable[[], None] = lambda: None
        self.recent: Window = Window(Cursor(epoch, 0), RECENT_BYTES)
        self.subscribers: set[Subscriber] = set()
        self.holders: int = 0
        self.polls: Polls = Polls()
        self.unused: asyncio.Event = asyncio.Event()
        self.following: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._context = context
        self._forget = forget
        self._audiences: dict[Format, Audience] = {}
        self._waiting: set[Subscriber] = set()
        self._reads: dict[Cursor | None, asyncio.Task[Page]] = {}

    def release(self) -> None:
        """One holder less. The last one's end ends the following of the stream."""
        self.holders -= 1
        if self.holders == 0:
            self._forget(self)
            self.unused.set()

    def response(
        self,
        permit: Permit,
        after: Start,
        format: Format,
        *,
        first: bytes = b"",
        at_head: Callable[[Cursor], bytes] = lambda head: b"",
        expires: float | None = None,
        seconds: float | None = None,
        headers: Mapping[str, str] = sse.STREAM_HEADERS,
    ) -> StreamResponse:
        """The records after a cursor, until the stream has ended or the client leaves.

        Takes over the permit, and the caller's hold. `first`: bytes for this client alone, before
        all others; `at_head` makes those for a client that has all records already. `expires`: unix
        seconds. `seconds`: the longest that it may last, in place of the policy's.
        """
        requested = time.monotonic()
        permit.hand_over()

        def open(connection: Connection) -> None:
            self.meter.begin()
            audience = self._audience(format)
            subscriber = Subscriber(self, audience, connection, permit, expires, None, seconds)
            self.subscribers.add(subscriber)
            if after == self.head:
                subscriber.start(None, first + at_head(self.head))
            else:
                subscriber.start(after, first)
            self.meter.first_byte.observe(time.monotonic() - requested)
            if self._context.drain.draining:
                self.end_within(self._context.drain.window, [subscriber])

        def abandon() -> None:
            permit.release()
            self.release()

        return StreamResponse(open, abandon, format.media_type, headers)

    async def changed(self, after: Cursor) -> None:
        """Returns once the stream is not at `after`, has ended or is gone, or its process drains.

        A caller that is cancelled waits no more.
        """
        if after != self.head or self.finished or self._context.drain.draining:
            return
        await self.polls.wait()

    def end_within(self, window: float, subscribers: Iterable[Subscriber]) -> None:
        """Ends subscribers for a drain, each at its own random moment of `window` seconds."""
        loop = asyncio.get_running_loop()
        for subscriber in subscribers:
            delay = random.uniform(0, window)
            loop.call_later(delay, subscriber.drain, window - delay)

    def end_all(self, reason: Reason) -> None:
        for subscriber in list(self.subscribers):
            subscriber.end(reason)

    def failed(self, error: Exception) -> None:
        """Called where following the stream did not begin, or broke off."""
        if self.following.done():
            self.log_failure(error)
            self.end_all("failed")
        else:
            self.following.set_exception(error)
            self.following.exception()  # seen: all that wait for it may have left

    # Called by the store (`StreamFollower`).

    def skip(self, head: Cursor) -> None:
        for subscriber in self.subscribers:
            subscriber.fall_behind()
        self.recent = Window(head, RECENT_BYTES)
        self._resume(self.subscribers)
        self.polls.answer()

    def deliver(self, records: Sequence[Record]) -> None:
        if not self.subscribers:
            # Nothing is rendered or kept for a stream that nobody reads.
            self.recent = Window(records[-1].cursor, RECENT_BYTES)
        else:
            for record in records:
                entry = self._context.render(record)
                self.recent.add(entry)
                for audience in self._audiences.values():
                    audience.push(entry)
            self._resume(self._waiting)
        self.polls.answer()

    def ended(self, reason: str | None) -> None:
        self.finished = True
        if reason is None:
            self.end_all("closed")
        for subscriber in list(self.subscribers):
            subscriber.complete()
        self._resume(self._waiting)
        self.polls.answer()
        self.on_end()

    # Asked by subscribers (`Feed`).

    @property
    def policy(self) -> StreamPolicy:
        return self._context.policy

    @property
    def meter(self) -> StreamMeter:
        return self._context.meter

    @property
    def timer_wheel(self) -> TimerWheel:
        return self._context.timer_wheel

    @property
    def head(self) -> Cursor:
        return self.recent.head

    async def read(self, after: Cursor | None, interest: Interest = EVERYTHING) -> Page:
        """Subscribers that want the same page at the same time share it."""
        task = self._reads.get(after)
        if task is None:
            task = self._reads[after] = asyncio.create_task(self._read(after))
            task.add_done_callback(lambda _: self._reads.pop(after, None))
        return await asyncio.shield(task)

    async def _read(self, after: Cursor | None) -> Page:
        chunk = await self._context.store.read(self.key, after, PAGE_BYTES)
        entries = [self._context.render(record) for record in chunk.records]
        return Page(entries, chunk.info.oldest, chunk.info.head, chunk.gap)

    def heartbeat(self, format: Format) -> bytes:
        return format.heartbeat(self.head)

    def wait(self, subscriber: Subscriber) -> None:
        self._waiting.add(subscriber)

    def stops(self, subscriber: Subscriber) -> None:
        if not self._context.drain.draining:
            self.end_within(self._context.drain.window, [subscriber])

    def forget(self, subscriber: Subscriber, audience: Audience) -> None:
        self.subscribers.discard(subscriber)
        self._waiting.discard(subscriber)
        audience.size -= 1
        if audience.size == 0:
            audience.close()
            del self._audiences[audience.format]
        self.release()

    def log_failure(self, error: Exception) -> None:
        logger.error("a stream could not be read: %s", error, exc_info=error)

    def _resume(self, behind: set[Subscriber]) -> None:
        loop = asyncio.get_running_loop()
        for subscriber in behind:
            loop.call_soon(subscriber.resume)
        self._waiting.clear()

    def _audience(self, format: Format) -> Audience:
        audience = self._audiences.get(format)
        if audience is None:
            selector = Everything()
            audience = Audience(selector, format, self.meter, self._context.governor)
            self._audiences[format] = audience
        audience.size += 1
        return audience
