"""How a subscriber behind the head reads pages until it is there: no queue, a cursor alone."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, Literal, Protocol

from eddyline.broadcast.audience import Audience, Selector
from eddyline.connection.base import HIGH_WATER, Connection
from eddyline.errors import Unavailable
from eddyline.journal.base import Entry, Gap, Interest, Last, Page
from eddyline.journal.cursor import Cursor, Earliest
from eddyline.journal.window import Window
from eddyline.telemetry.base import Reason, StreamMeter

#: Entries looked at in one go: the loop must not be held by a long scan for rare matches.
PAGE_ENTRIES = 256

#: Seconds, jittered, after which a read that failed is repeated.
READ_AGAIN = 1.0

#: Where a subscriber starts: after a cursor, at the oldest entry, at the last ones of some topics,
#: now (None), or now and told that its id is unknown.
Start = Cursor | Earliest | Last | Literal["unknown"] | None


async def page_for(
    selector: Selector, read: Callable[[Interest], Awaitable[Page]], since: int = 0
) -> Page:
    """The page that `read` gives to a reader of `selector`; `since` as in Interest.

    Readers share a page that tells of all topics. Where too many have lost something to be told,
    a reader asks for its own.
    """
    page = await read(Interest(since))
    if page.gap == "trimmed" and not selector.prefixes:
        page = await read(Interest(since, frozenset(selector.topics)))
    return page


class Pages(Protocol):
    """The entries of a broadcast, as a subscriber reads them."""

    @property
    def meter(self) -> StreamMeter: ...

    @property
    def head(self) -> Cursor:
        """The last entry that was delivered in this process."""

    @property
    def recent(self) -> Window:
        """The newest entries before `head`."""

    async def read(self, after: Cursor | None, interest: Interest) -> Page:
        """A page of the journal; raises Unavailable."""

    def log_failure(self, error: Exception) -> None:
        """Logs the fault that ends a subscriber."""


class Behind(Protocol):
    """A subscriber behind the head, as its catch-up sees it."""

    @property
    def connection(self) -> Connection: ...

    def go_live(self) -> None:
        """Called once it has all entries up to the head."""

    def reset(self, gap: Gap, oldest: Cursor) -> None:
        """Called in place of `go_live` where entries are missing that no page has."""

    def count(self, events: int, size: int) -> None:
        """Called with the events and bytes of the body that were written to its connection."""

    def wait(self) -> None:
        """Called where the journal is ahead of the deliveries in this process."""

    def end(self, reason: Reason) -> None:
        """Called where no page can be read, and once a format of one answer has entries."""


class CatchUp:
    """From a cursor to the head, one page at a time, as fast as the connection takes them."""

    __slots__ = ("_after", "_audience", "_pages", "_reading", "_since", "_starts", "_subscriber")

    def __init__(self, subscriber: Behind, pages: Pages, audience: Audience, after: Start) -> None:
        self._subscriber: Final = subscriber
        self._pages: Final = pages
        self._audience: Final = audience
        #: The last entry that was written, once there was one.
        self._after = after
        #: The head at the moment when the client asked for entries that it has never seen.
        self._since = 0
        #: Up to there, the topics whose entries are wanted, from which sequence on; {}: all are.
        self._starts: Mapping[str, int] = {}
        self._reading: asyncio.Task[None] | asyncio.Handle | None = None

    @property
    def cursor(self) -> Cursor | None:
        """The last entry that the client has, where that is known."""
        return self._after if isinstance(self._after, Cursor) else None

    def go_on(self) -> None:
        """Write the next page; call it again when the connection has become writable."""
        if self._reading is not None or self._subscriber.connection.full:
            return
        after, recent = self._after, self._pages.recent
        if isinstance(after, Cursor) and recent.gap(after) is None:
            self._write_page(recent.page(after, PAGE_ENTRIES))
        else:
            self._reading = asyncio.create_task(self._read_journal(after))

    def stop(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    async def _read_journal(self, after: Start) -> None:
        try:
            page = await self._read(after)
        except asyncio.CancelledError:
            raise
        except Unavailable:
            # The journal is away, and so are publishers: the stream stays open until it is back.
            pause = READ_AGAIN * random.uniform(0.5, 1.5)
            self._reading = asyncio.get_running_loop().call_later(pause, self._next_page)
            return
        except Exception as error:
            self._reading = None
            self._pages.log_failure(error)
            self._subscriber.end("failed")
            return
        self._reading = None
        if after == "unknown":
            page = Page([], page.oldest, page.head, "unknown")
        if not isinstance(after, Cursor):
            self._after, self._since = page.oldest, page.head.sequence
            self._starts = page.starts
        self._write_page(page)

    async def _read(self, after: Start) -> Page:
        if isinstance(after, tuple):
            return await self._pages.read(None, Interest(last=after))
        known = after if isinstance(after, Cursor) else None
        read = partial(self._pages.read, known)
        return await page_for(self._audience.selector, read, self._since)

    def _is_wanted(self, entry: Entry) -> bool:
        at, starts = entry.cursor.sequence, self._starts
        if not starts or at > self._since:
            return True
        return any(topic in starts and at > starts[topic] for topic in entry.topics)

    def _next_page(self) -> None:
        self._reading = None
        self.go_on()

    def _write_page(self, page: Page) -> None:
        """Write a page, at most as far as the high-water mark, and go on from there."""
        pages, subscriber = self._pages, self._subscriber
        pages.meter.catch_up_reads.inc()
        if (gap := page.gap_of(self._audience.selector.may_match)) is not None:
            subscriber.reset(gap, page.oldest)
            return
        before = self._after
        if isinstance(before, Cursor):
            self._after = page.start(before)  # entries of others may be gone
        try:
            written = self._write_entries(page)
        except ValueError as error:
            self._after = before
            pages.log_failure(error)
            subscriber.end("failed")
            return
        if written and self._audience.format.once:
            subscriber.end("complete")
        elif self._after == pages.head:
            subscriber.go_live()
        elif not subscriber.connection.full:
            if self._after != before or page.head.sequence < pages.head.sequence:
                # In a turn of its own: a thousand that resume at once must not hold the loop.
                self._reading = asyncio.get_running_loop().call_soon(self._next_page)
            else:
                # The journal is ahead of the deliveries in this process: they are on their way.
                subscriber.wait()

    def _write_entries(self, page: Page) -> bool:
        """Whether any entry of the page was for the subscriber."""
        audience, head = self._audience, self._pages.head
        frames: list[bytes] = []
        size = taken = 0
        for entry in page.entries:
            if size >= HIGH_WATER or entry.cursor.sequence > head.sequence:
                break
            if audience.selector.matches(entry) and self._is_wanted(entry):
                shown = audience.selector.shown(entry) if entry.alternates else entry
                frame = audience.format.entry(shown)
                if frames and len(frame) > HIGH_WATER:
                    break  # it goes alone: joined, it would be a copy for each subscriber
                frames.append(frame)
                size += len(frame)
            taken += 1
            self._after = entry.cursor
        assert isinstance(self._after, Cursor)
        if taken == len(page.entries) and self._after.sequence == page.head.sequence:
            self._after = page.head  # the end of an epoch is the start of the next
        if frames:
            self._subscriber.connection.write(audience.format.join(frames, self._after))
            self._subscriber.count(len(frames), size)
            self._pages.meter.events.inc(len(frames))
            self._pages.meter.bytes.inc(size)
        return bool(frames)
