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
from eddyline.broadcast.catch_up import CatchUp, Pages, Start
from eddyline.broadcast.deadlines import Stall, deadline
from eddyline.broadcast.formats import Format
from eddyline.broadcast.timer_wheel import TimerWheel
from eddyline.connection.base import Connection
from eddyline.journal.base import Gap
from eddyline.journal.cursor import Cursor
from eddyline.policy import StreamPolicy
from eddyline.service.admission import Permit
from eddyline.telemetry.base import Reason

#: The range of `retry:` after an end that the server chose, in milliseconds.
RETRY = (500, 3000)


class Member(Protocol):
    """An observer of the life of one subscriber."""

    def joined(self, subscriber: "Subscriber") -> None: ...

    def left(self) -> None: ...


class Feed(Pages, Protocol):
    """The broadcast, as a subscriber sees it."""

    @property
    def policy(self) -> StreamPolicy: ...

    @property
    def timer_wheel(self) -> TimerWheel: ...

    @property
    def finished(self) -> bool:
        """Whether the journal has ended: nothing will follow `head`."""

    def heartbeat(self, format: Format) -> bytes:
        """The bytes that a silent stream gets."""

    def wait(self, subscriber: "Subscriber") -> None:
        """`subscriber.resume` is called as soon as more is delivered in this process."""

    def stops(self, subscriber: "Subscriber") -> None:
        """Ends a subscriber, and soon: its server stops."""

    def forget(self, subscriber: "Subscriber", audience: Audience) -> None:
        """Called by a subscriber that has ended."""


class Subscriber:
    __slots__ = (
        "_audience",
        "_began",
        "_catch_up",
        "_deadline",
        "_deadline_reason",
        "_feed",
        "_member",
        "_permit",
        "_resuming",
        "_stall",
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
        self.connection: Final = connection
        self.due: int = 0
        self._feed = feed
        self._audience = audience
        self._permit = permit
        self._member = member
        self._began = time.monotonic()
        self._state: Literal["live", "behind", "ended"] = "behind"
        #: The reading of pages; None unless it is behind.
        self._catch_up: CatchUp | None = None
        #: Whether its client came back with an id, and it has not been live yet.
        self._resuming = False
        #: The watch over a full connection; None until it was full once.
        self._stall: Stall | None = None
        self._deadline, self._deadline_reason = deadline(feed.policy, expires, seconds)

    @property
    def selector(self) -> Selector:
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
            self.go_live()
        else:
            self._write(format.heartbeat(None) + first)
            self._resuming = not isinstance(after, tuple)
            self._read_after(after)
            self.resume()

    def _write(self, data: bytes) -> None:
        if data:
            self.connection.write(data)

    # How the connection fares.

    def on_full(self) -> None:
        self._stall = Stall(self.connection, self._feed.policy.write_timeout)
        if self._state == "live":
            self._feed.meter.slow_consumers.inc()
            self.fall_behind()
        check_at = self._stall.ends_at(time.monotonic())
        if self.due > check_at + 1:
            # The look is only moved forward: a look that comes sooner sees the connection, too.
            self._schedule(check_at)

    def on_writable(self) -> None:
        self.resume()

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
            self._read_after(self._feed.head)

    def resume(self) -> None:
        """Catches up after `fall_behind`, where the connection is not full."""
        if self._catch_up is not None:
            self._catch_up.go_on()

    def _read_after(self, after: Start) -> None:
        self._catch_up = CatchUp(self, self._feed, self._audience, after)
        self._state = "behind"

    def go_live(self) -> None:
        self._resumed("complete")
        self._catch_up = None
        self._state = "live"
        self._audience.join(self)
        if self.connection.full:
            self.fall_behind()
        elif self._deadline_reason == "drain":
            self.end("drain")
        else:
            self.complete()

    def reset(self, gap: Gap, oldest: Cursor) -> None:
        """Says that something is missing, and why; then the live stream."""
        feed, format = self._feed, self._audience.format
        feed.meter.reset(gap)
        self._resumed(gap)
        self._write(format.reset(gap, oldest, feed.head))
        if format.ends_at_gap:
            self._finish_body("complete", b"")
        else:
            self.go_live()

    def wait(self) -> None:
        self._feed.wait(self)

    def count(self, events: int, size: int) -> None:
        if self._permit.trace is not None:
            self._permit.trace.count(events, size)

    def _resumed(self, result: str) -> None:
        if self._resuming:
            self._resuming = False
            self._feed.meter.resumed(result, time.monotonic() - self._began)

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
        if self._stall is None:
            self._stall = Stall(self.connection, self._feed.policy.write_timeout)
        stalled_at = self._stall.ends_at(now)
        if now >= stalled_at:
            self.end("stalled")
        else:
            self._schedule(stalled_at)

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
        if reason == "complete":
            self._resumed(reason)
        # Pending entries go out first: the client's last id must be that of its last event.
        self._audience.flush()
        self._finish_body(reason, self._last_bytes(reason))

    def _last_bytes(self, reason: Reason) -> bytes:
        at = (self._catch_up and self._catch_up.cursor) or self._feed.head
        if reason == "complete":
            return self._audience.format.complete(at)
        if reason == "failed" and self._state == "live":
            return b""  # entries before the head are missing
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
        if self._catch_up is not None:
            self._catch_up.stop()
            self._catch_up = None
        self._feed.timer_wheel.remove(self)
        self._permit.release()
        self._feed.forget(self, self._audience)
        if self._member is not None:
            self._member.left()
        seconds = time.monotonic() - self._began
        self._feed.meter.end(reason, seconds)
        self._permit.ended(self._feed.meter, reason, seconds)
