"""One reader of a broadcast: a connection and a cursor, never a queue.

How a slow client is treated is decided here. A subscriber is *live* (its audience writes to it) or
*behind*: it resumes, its connection is full, or the bus had a hole. Behind, it reads pages after
its cursor whenever the connection takes them, until it is at the head and live again. A gap
that cannot be filled any more is said in a reset.
"""

import asyncio
import random
import time
from typing import Final, Literal, Protocol

from eddyline.broadcast.audience import Audience, Selector
from eddyline.broadcast.formats import Format
from eddyline.broadcast.timer_wheel import TimerWheel
from eddyline.connection.base import HIGH_WATER, Connection
from eddyline.errors import Unavailable
from eddyline.journal.base import Gap, Page
from eddyline.journal.cursor import Cursor, Earliest
from eddyline.journal.memory import Window
from eddyline.policy import StreamPolicy
from eddyline.service.admission import Permit
from eddyline.telemetry import logs as jsonlog
from eddyline.telemetry.base import Reason, StreamMeter

#: Entries looked at in one go: the loop must not be held by a long scan for rare matches.
PAGE_ENTRIES = 256

#: When the client should come back after an end that was ours, in milliseconds.
RETRY = (500, 3000)

#: Seconds, jittered, until a page is read again that could not be.
READ_AGAIN = 1.0

#: Where a subscriber starts: after a cursor, at the oldest entry, now (None), or now and told that
#: its id is unknown.
Start = Cursor | Earliest | Literal["unknown"] | None


class Member(Protocol):
    """An observer of the life of one subscriber."""

    def joined(self, subscriber: "Subscriber") -> None: ...

    def left(self) -> None: ...


class Feed(Protocol):
    """The broadcast, as a subscriber sees it."""

    @property
    def policy(self) -> StreamPolicy: ...

    @property
    def meter(self) -> StreamMeter: ...

    @property
    def timer_wheel(self) -> TimerWheel: ...

    @property
    def head(self) -> Cursor:
        """The last entry that was delivered in this process."""

    @property
    def recent(self) -> Window:
        """The newest entries before `head`."""

    @property
    def finished(self) -> bool:
        """Whether the journal has ended: nothing will follow `head`."""

    async def read(self, after: Cursor | None) -> Page:
        """A page of the journal; raises Unavailable."""

    def heartbeat(self, format: Format) -> bytes:
        """The bytes that a silent stream gets."""

    def wait(self, subscriber: "Subscriber") -> None:
        """`subscriber.resume` is called as soon as more is delivered in this process."""

    def stops(self, subscriber: "Subscriber") -> None:
        """Ends a subscriber, and soon: its server stops."""

    def forget(self, subscriber: "Subscriber", audience: Audience) -> None:
        """Called by a subscriber that has ended."""

    def log_failure(self, error: Exception) -> None:
        """Logs the fault that ends a subscriber."""


class Subscriber:
    __slots__ = (
        "_after",
        "_audience",
        "_began",
        "_deadline",
        "_deadline_reason",
        "_feed",
        "_held",
        "_member",
        "_permit",
        "_progress_at",
        "_reading",
        "_resuming",
        "_state",
        "connection",
        "due",
    )

    def __init__(
        self,
        feed: Feed,
        audience: Audience,
        connection: Connection,
        permit: Permit,
        expires: float | None,
        member: Member | None = None,
        seconds: float | None = None,
    ) -> None:
        now = time.monotonic()
        self.connection: Final = connection
        self.due: int = 0
        self._feed = feed
        self._audience = audience
        self._permit = permit
        self._member = member
        self._began = now
        self._state: Literal["live", "behind", "ended"] = "behind"
        #: Behind: where it is; the last entry that was written, once there was one.
        self._after: Start = None
        #: Until it is live for the first time, where it came back with an id.
        self._resuming = False
        self._reading: asyncio.Task[None] | asyncio.Handle | None = None
        #: While the connection is full: the bytes it held when last looked at, and since when it
        #: holds them.
        self._held = 0
        self._progress_at = 0.0
        # Jittered, so that clients that came together don't come back together.
        longest = feed.policy.max_age * random.uniform(0.8, 1.0)
        self._deadline = now + (longest if seconds is None else seconds)
        self._deadline_reason: Reason = "age"
        if expires is not None and (at := now + expires - time.time()) < self._deadline:
            self._deadline = at
            self._deadline_reason = "expired"

    @property
    def selector(self) -> Selector:
        """Which entries it gets; its audience's own."""
        return self._audience.selector

    def start(self, after: Start, first: bytes) -> None:
        """Writes the first bytes at once; then the entries after `after`, or live from now on."""
        self.connection.listener = self
        self._schedule(time.monotonic() + self._feed.policy.heartbeat * random.random())
        format = self._audience.format
        if self._member is not None:
            self._member.joined(self)
        if after is None:
            self._write(self._feed.heartbeat(format) + first)
            self._go_live()
        else:
            self._write(format.heartbeat(None) + first)
            self._after = after
            self._resuming = True
            self._catch_up()

    def _write(self, data: bytes) -> None:
        if data:
            self.connection.write(data)

    # How the connection fares.

    def on_full(self) -> None:
        self._held = self.connection.buffered
        self._progress_at = time.monotonic()
        if self._state == "live":
            self._feed.meter.slow_consumers.inc()
            self.fall_behind()
        check_at = self._progress_at + self._feed.policy.write_timeout
        if self.due > check_at + 1:
            # Only ever sooner: an earlier look sees the connection, too.
            self._schedule(check_at)

    def on_writable(self) -> None:
        if self._state == "behind":
            self._catch_up()

    def on_close(self) -> None:
        self._finish("client_closed")

    def on_shutdown(self) -> bool:
        self._feed.stops(self)
        return True

    # Live and behind.

    def fall_behind(self) -> None:
        """The audience writes everything up to the head to it, and then no more."""
        if self._state == "live":
            self._audience.flush()
            self._audience.leave(self)
            self._after = self._feed.head
            self._state = "behind"

    def resume(self) -> None:
        """Catches up after `fall_behind`, where the connection is not full."""
        if self._state == "behind":
            self._catch_up()

    def _go_live(self) -> None:
        self._resumed("complete")
        self._after = None
        self._state = "live"
        self._audience.join(self)
        if self.connection.full:
            self.fall_behind()
        elif self._deadline_reason == "drain":
            self.end("drain")
        else:
            self.complete()

    def _catch_up(self) -> None:
        if self._reading is not None or self.connection.full:
            return  # one page at a time; `on_writable` comes back here
        after, recent = self._after, self._feed.recent
        if isinstance(after, Cursor) and recent.gap(after) is None:
            self._write_page(recent.page(after, PAGE_ENTRIES))
        else:
            self._reading = asyncio.create_task(self._read_journal(after))

    async def _read_journal(self, after: Start) -> None:
        try:
            page = await self._feed.read(after if isinstance(after, Cursor) else None)
        except asyncio.CancelledError:
            raise
        except Unavailable:
            # The journal is away, and so are publishers: the stream stays open until it is back.
            pause = READ_AGAIN * random.uniform(0.5, 1.5)
            self._reading = asyncio.get_running_loop().call_later(pause, self._next_page)
            return
        except Exception as error:
            self._feed.log_failure(error)
            self._reading = None
            self.end("failed")
            return
        self._reading = None
        if self._state == "behind":
            if after == "unknown":
                page = Page([], page.oldest, page.head, "unknown")
            self._after = after if isinstance(after, Cursor) else page.oldest
            self._write_page(page)

    def _write_page(self, page: Page) -> None:
        """Writes a page, at most as far as the high-water mark, and goes on from there."""
        feed, audience = self._feed, self._audience
        feed.meter.catch_up_reads.inc()
        if page.gap is not None:
            self._reset(page.gap, page.oldest)
            return
        before = self._after
        frames: list[bytes] = []
        size = taken = 0
        for entry in page.entries:
            if size >= HIGH_WATER or entry.cursor.sequence > feed.head.sequence:
                break
            taken += 1
            self._after = entry.cursor
            if audience.selector.matches(entry):
                frames.append(audience.format.entry(entry))
                size += len(frames[-1])
        assert isinstance(self._after, Cursor)
        if taken == len(page.entries) and self._after.sequence == page.head.sequence:
            self._after = page.head  # the end of an epoch is the start of the next
        if frames:
            self.connection.write(audience.format.join(frames, self._after))
            feed.meter.events.inc(len(frames))
            feed.meter.bytes.inc(size)
            if audience.format.once:
                self._resumed("complete")
                self.end("complete")
                return
        if self._after == feed.head:
            self._go_live()
        elif not self.connection.full:
            if self._after != before or page.head.sequence < feed.head.sequence:
                # In a turn of its own: a thousand that resume at once must not hold the loop.
                self._reading = asyncio.get_running_loop().call_soon(self._next_page)
            else:
                # The journal is ahead of the deliveries in this process: they are on their way.
                feed.wait(self)

    def _resumed(self, result: str) -> None:
        if self._resuming:
            self._resuming = False
            self._feed.meter.resumed(result, time.monotonic() - self._began)

    def _next_page(self) -> None:
        self._reading = None
        if self._state == "behind":
            self._catch_up()

    def _reset(self, gap: Gap, oldest: Cursor) -> None:
        """Says that something is missing, and why; then the live stream."""
        feed, format = self._feed, self._audience.format
        feed.meter.reset(gap)
        self._resumed(gap)
        self.connection.write(format.reset(gap, oldest, feed.head))
        if format.once:
            self._finish_body("complete", b"")
        else:
            self._go_live()

    # Time.

    def _schedule(self, at: float) -> None:
        self._feed.timer_wheel.add(self, min(at, self._deadline))

    def on_time(self, now: float) -> None:
        if self._state == "ended":
            return
        policy = self._feed.policy
        if now >= self._deadline:
            self.end(self._deadline_reason)
        elif self.connection.full:
            self._check_stall(now)
        elif self._state == "live" and not self._audience.pending:
            silent_until = self._audience.last_write + policy.heartbeat
            if silent_until > now + 1:
                # Spread anew: all of an audience were written to at the same moment.
                self._schedule(now + (silent_until - now) * random.uniform(0.7, 1.0))
            else:
                self._write(self._feed.heartbeat(self._audience.format))
                self._schedule(now + policy.heartbeat)
        else:
            self._schedule(now + policy.heartbeat)

    def _check_stall(self, now: float) -> None:
        """A peer that reads little is slow; one that reads nothing for the write timeout is
        stalled.
        """
        held = self.connection.buffered
        if held != self._held:
            self._held, self._progress_at = held, now
        if now - self._progress_at >= self._feed.policy.write_timeout:
            self.end("stalled")
        else:
            self._schedule(self._progress_at + self._feed.policy.write_timeout)

    # The end.

    def drain(self, patience: float) -> None:
        """Ends a live stream now, one that is behind once it has caught up: within `patience` s."""
        if self._state == "behind" and patience > 0:
            self._deadline_reason = "drain"
            asyncio.get_running_loop().call_later(patience, self.end, "drain")
        else:
            self.end("drain")

    def complete(self) -> None:
        """Ends a live stream whose feed has ended: it has all that there is."""
        if self._feed.finished and self._state == "live":
            self.end("complete")

    def end(self, reason: Reason) -> None:
        """Ends the body, cleanly unless the peer takes nothing; the client is told when to come
        back.
        """
        if self._state == "ended":
            return
        # Pending entries go out first: the client's last id must be that of its last event.
        self._audience.flush()
        self._finish_body(reason, self._last_bytes(reason))

    def _last_bytes(self, reason: Reason) -> bytes:
        if reason == "complete":
            return b""
        at = self._after if isinstance(self._after, Cursor) else self._feed.head
        return self._audience.format.ending(at, random.randint(*RETRY))

    def _finish_body(self, reason: Reason, last: bytes) -> None:
        if self._state == "ended":
            return
        self._finish(reason)
        if reason == "stalled":
            self.connection.abort()
        else:
            self._write(last)
            self.connection.close()

    def _finish(self, reason: Reason) -> None:
        if self._state == "ended":
            return
        if self._state == "live":
            self._audience.leave(self)
        self._state = "ended"
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        self._feed.timer_wheel.remove(self)
        self._permit.release()
        self._feed.forget(self, self._audience)
        if self._member is not None:
            self._member.left()
        seconds = time.monotonic() - self._began
        self._feed.meter.end(reason, seconds)
        jsonlog.stream_ended(self._feed.meter, reason, seconds, self._permit.request_id)
