"""One reader of a broadcast: a connection and a cursor, never a queue.

How a slow client is treated is decided here. A subscriber is *live* (its audience writes to it) or
*behind*: it resumes, its connection is full, or the bus had a hole. Behind, it reads pages after
its cursor whenever the connection takes them, until it is at the head and live again; what it
cannot be told any more is said in a reset.
"""

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any, Literal

import orjson

from streaming import sse
from streaming.connection import HIGH_WATER, Connection
from streaming.cursor import EARLIEST, Cursor
from streaming.errors import BadCursor
from streaming.journal import Gap, Page
from streaming.limits import Lease
from streaming.metrics import Reason

if TYPE_CHECKING:
    from streaming.audience import Audience
    from streaming.broadcast import Broadcast

#: Entries looked at in one go: the loop must not be held by a long scan for rare matches.
PAGE_ENTRIES = 256

#: When the client should come back after an end that was ours, in milliseconds.
RETRY = (500, 3000)


class Subscriber:
    __slots__ = (
        "_after",
        "_audience",
        "_began",
        "_broadcast",
        "_deadline",
        "_deadline_reason",
        "_held",
        "_lease",
        "_progress_at",
        "_reading",
        "_state",
        "connection",
        "due",
    )

    def __init__(
        self,
        broadcast: "Broadcast",
        audience: "Audience",
        connection: Connection,
        lease: Lease,
        expires: float | None,
    ) -> None:
        now = time.monotonic()
        self.connection = connection
        self.due = 0
        self._broadcast = broadcast
        self._audience = audience
        self._lease = lease
        self._began = now
        self._state: Literal["live", "behind", "ended"] = "behind"
        #: Behind: the last entry that was written, or the text that the client resumes from.
        self._after: Cursor | str | None = None
        self._reading: asyncio.Task[None] | asyncio.Handle | None = None
        #: While the connection is full: the bytes it held when last looked at, and since when it
        #: holds them.
        self._held = 0
        self._progress_at = 0.0
        # Jittered, so that those who came together don't come back together.
        self._deadline = now + broadcast.settings.max_age * random.uniform(0.8, 1.0)
        self._deadline_reason: Reason = "age"
        if expires is not None and (at := now + expires - time.time()) < self._deadline:
            self._deadline = at
            self._deadline_reason = "expired"

    def start(self, after: str | None, first: bytes) -> None:
        """Writes the first bytes at once; then the entries after the text `after`, or live from
        now on.
        """
        self.connection.listener = self
        self._schedule(time.monotonic() + self._broadcast.settings.heartbeat * random.random())
        if after is None:
            # With a cursor from the first byte on, a client that drops before any event loses none
            # either.
            self.connection.write(sse.cursor_frame(str(self._broadcast.head)) + first)
            self._go_live()
        else:
            self.connection.write(sse.COMMENT + first)
            self._after = after
            self._catch_up()

    # How the connection fares.

    def on_full(self) -> None:
        self._held = self.connection.buffered
        self._progress_at = time.monotonic()
        if self._state == "live":
            self._broadcast.metrics.laggards.inc()
            self.fall_behind()
        check_at = self._progress_at + self._broadcast.settings.write_timeout
        if self.due > check_at + 1:
            # Only ever sooner: what is due earlier looks at the connection, too.
            self._schedule(check_at)

    def on_writable(self) -> None:
        if self._state == "behind":
            self._catch_up()

    def on_close(self) -> None:
        self._finish("left")

    # Live and behind.

    def fall_behind(self) -> None:
        """The audience writes everything up to the head to it, and then no more."""
        if self._state == "live":
            self._audience.flush()
            self._audience.leave(self)
            self._after = self._broadcast.head
            self._state = "behind"

    def resume(self) -> None:
        """Catches up after `fall_behind`, where the connection is not full."""
        if self._state == "behind":
            self._catch_up()

    def _go_live(self) -> None:
        self._after = None
        self._state = "live"
        self._audience.join(self)
        if self.connection.full:
            self.fall_behind()
        elif self._deadline_reason == "drain":
            self.end("drain")

    def _catch_up(self) -> None:
        if self._reading is not None or self.connection.full:
            return  # one page at a time; `on_writable` comes back here
        after = self._position()
        if isinstance(after, Cursor) and self._broadcast.recent.gap(after) is None:
            self._write_page(self._broadcast.recent.page(after, PAGE_ENTRIES))
        else:
            self._reading = asyncio.create_task(self._read_journal(after))

    def _position(self) -> Cursor | str | None:
        if isinstance(self._after, str) and self._after != EARLIEST:
            try:
                self._after = Cursor.parse(self._after)
            except BadCursor:
                return self._after
        return self._after

    async def _read_journal(self, after: Cursor | str | None) -> None:
        journal = self._broadcast.journal
        try:
            page = None
            if isinstance(after, str) and after != EARLIEST:
                own = after
                after = await journal.locate(own)
                if after is None:
                    page = Page([], (await journal.read(None, 0)).oldest, "unknown")
            if page is None:
                cursor = after if isinstance(after, Cursor) else None
                page = await journal.read(cursor, PAGE_ENTRIES)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._broadcast.log_failure(error)
            self._reading = None
            self.end("failed")
            return
        self._reading = None
        if self._state == "behind":
            self._after = after if isinstance(after, Cursor) else page.oldest
            self._write_page(page)

    def _write_page(self, page: Page) -> None:
        """Writes a page, at most as far as the high-water mark, and goes on from there."""
        broadcast = self._broadcast
        broadcast.metrics.catch_up_reads.inc()
        if page.gap is not None:
            self._reset(page.gap, page.oldest)
            return
        before = self._after
        frames: list[bytes] = []
        size = 0
        for entry in page.entries:
            if size >= HIGH_WATER or entry.cursor.sequence > broadcast.head.sequence:
                break
            self._after = entry.cursor
            if self._audience.selector.matches(entry):
                frames.append(entry.frame)
                size += len(entry.frame)
        if frames:
            self.connection.write(b"".join(frames))
            broadcast.metrics.events.inc(len(frames))
            broadcast.metrics.bytes.inc(size)
        if self._after == broadcast.head:
            self._go_live()
        elif not self.connection.full:
            # In a turn of its own: a thousand that resume at once must not hold the loop. Where
            # nothing came, the
            # journal is ahead of what was delivered here: that is on its way.
            pause = 0.0 if self._after != before else 0.05
            self._reading = asyncio.get_running_loop().call_later(pause, self._next_page)

    def _next_page(self) -> None:
        self._reading = None
        if self._state == "behind":
            self._catch_up()

    def _reset(self, gap: Gap, oldest: Cursor) -> None:
        """Says that something is missing, and why; then the live feed."""
        broadcast = self._broadcast
        broadcast.metrics.reset(gap)
        data: dict[str, Any] = {"reason": gap, "oldest": str(oldest)}
        frame = sse.encode(
            orjson.dumps(data).decode(), event="millrace.reset", id=str(broadcast.head)
        )
        self.connection.write(frame)
        self._go_live()

    # Time.

    def _schedule(self, at: float) -> None:
        self._broadcast.timetable.add(self, min(at, self._deadline))

    def on_time(self, now: float) -> None:
        if self._state == "ended":
            return
        settings = self._broadcast.settings
        if now >= self._deadline:
            self.end(self._deadline_reason)
        elif self.connection.full:
            self._check_stall(now)
        elif self._state == "live" and not self._audience.pending:
            silent_until = self._audience.last_write + settings.heartbeat
            if silent_until > now + 1:
                # Spread anew: all of an audience were written to at the same moment.
                self._schedule(now + (silent_until - now) * random.uniform(0.7, 1.0))
            else:
                self.connection.write(self._broadcast.heartbeat())
                self._schedule(now + settings.heartbeat)
        else:
            self._schedule(now + settings.heartbeat)

    def _check_stall(self, now: float) -> None:
        """A peer that reads little is slow; one that reads nothing for the write timeout is
        stalled.
        """
        held = self.connection.buffered
        if held != self._held:
            self._held, self._progress_at = held, now
        if now - self._progress_at >= self._broadcast.settings.write_timeout:
            self.end("stalled")
        else:
            self._schedule(self._progress_at + self._broadcast.settings.write_timeout)

    # The end.

    def drain(self, patience: float) -> None:
        """Ends a live stream now, one that is behind once it has caught up: within `patience` s."""
        if self._state == "behind" and patience > 0:
            self._deadline_reason = "drain"
            asyncio.get_running_loop().call_later(patience, self.end, "drain")
        else:
            self.end("drain")

    def end(self, reason: Reason) -> None:
        """Ends the body, cleanly unless the peer takes nothing; the client is told when to come
        back.
        """
        if self._state == "ended":
            return
        connection = self.connection
        # What is pending goes out first: the client's last id must be what it has seen.
        self._audience.flush()
        self._finish(reason)
        if reason == "stalled":
            connection.abort()
        else:
            connection.write(sse.retry_frame(random.randint(*RETRY)))
            connection.close()

    def _finish(self, reason: Reason) -> None:
        if self._state == "ended":
            return
        if self._state == "live":
            self._audience.leave(self)
        self._state = "ended"
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        self._broadcast.timetable.remove(self)
        self._lease.release()
        self._broadcast.forget(self, self._audience)
        self._broadcast.metrics.end(reason, time.monotonic() - self._began)
