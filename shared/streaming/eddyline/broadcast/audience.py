"""Audiences: subscribers that get the same bytes, with one fan-out and coalescing for all."""

import asyncio
import logging
import time
from typing import Final, Protocol

from eddyline.broadcast.coalescing import BUSY, FlushGovernor
from eddyline.broadcast.formats import Format
from eddyline.connection.base import Connection, Framing
from eddyline.journal.base import Entry
from eddyline.journal.cursor import Cursor
from eddyline.telemetry.base import Reason, StreamMeter

#: A flush is written before it grows beyond this, so that no write can fill a connection far past
#: its high-water mark.
FLUSH_BYTES = 16 * 1024

#: The most seconds between two flushes that an audience lingers because of the others.
LONGEST_LINGER = 0.1

#: The weight of the newest flush in the running average of events a second.
RATE_WEIGHT = 0.1


logger: Final = logging.getLogger(__name__)


class Selector(Protocol):
    """Which entries an audience gets: the selection of its subscribers, within their grants.
    Hashable.
    """

    @property
    def topics(self) -> frozenset[str]:
        """Topics that are asked for as they are."""

    @property
    def prefixes(self) -> frozenset[str]:
        """Texts with one of which every other topic begins that is asked for; "" is any topic's."""

    def matches(self, entry: Entry) -> bool: ...

    def may_match(self, topic: str) -> bool:
        """Whether `matches` can be true of an entry with this topic, private or not. Its answer is
        remembered.
        """

    def shown(self, entry: Entry) -> Entry:
        """An entry of several topics that matches, under one that its readers may know."""


class Reader(Protocol):
    """A live subscriber, as its audience sees it."""

    @property
    def connection(self) -> Connection: ...

    def count(self, events: int, size: int) -> None:
        """Adds events and bytes of the body that were written to its connection."""

    def end(self, reason: Reason) -> None:
        """Ends the body."""


class Audience:
    """The live subscribers of one selector and format. Those behind the head are not in it until
    they have caught up.
    """

    __slots__ = (
        "_by_framing",
        "_filled",
        "_flushed_at",
        "_flushing",
        "_governor",
        "_last",
        "_meter",
        "_not_before",
        "_oldest",
        "_pending",
        "_pending_bytes",
        "_rate",
        "_timer",
        "_worked",
        "_written",
        "format",
        "last_write",
        "selector",
        "size",
    )

    def __init__(
        self, selector: Selector, format: Format, meter: StreamMeter, governor: FlushGovernor
    ) -> None:
        self.selector: Final = selector
        self.format: Final = format
        #: All subscribers, live or behind: an audience without any is dropped.
        self.size: int = 0
        #: When anything was last written to all of them, on the monotonic clock.
        self.last_write: float = time.monotonic()
        # Events and bytes that a subscriber has got which was live all the time.
        self._written = (0, 0)
        self._meter = meter
        self._governor = governor
        # Apart, because a flush is framed once for all that have the same framing.
        self._by_framing: dict[Framing, set[Reader]] = {}
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._last = Cursor("0", 0)
        self._oldest = 0.0  # the time of the oldest pending entry
        self._timer: asyncio.TimerHandle | None = None
        self._not_before = 0.0
        self._flushed_at = self.last_write
        self._rate = 0.0  # events a second
        self._worked = governor.worked  # by all audiences until the last flush of this one
        self._flushing = False
        self._filled: list[Reader] = []

    @property
    def pending(self) -> bool:
        return bool(self._pending)

    @property
    def readers(self) -> int:
        """Live subscribers."""
        return sum(map(len, self._by_framing.values()))

    def join(self, reader: Reader) -> None:
        """From now on it gets every entry that is not yet flushed: flush first."""
        self.flush()
        events, size = self._written
        reader.count(-events, -size)
        self._by_framing.setdefault(reader.connection.framing, set()).add(reader)

    def leave(self, reader: Reader) -> None:
        reader.count(*self._written)
        if self._flushing:
            # `flush` iterates over the set that holds the reader: it is discarded after the loop.
            self._filled.append(reader)
        else:
            self._discard(reader)

    def _discard(self, reader: Reader) -> None:
        framing = reader.connection.framing
        readers = self._by_framing.get(framing)
        if readers is not None:
            readers.discard(reader)
            if not readers:
                del self._by_framing[framing]

    def push(self, entry: Entry) -> None:
        """Writes at once after a quiet moment; under load, together with all entries
        within the interval.
        """
        if not self._by_framing:
            return
        if not self._pending:
            self._oldest = entry.time
        frame = self.format.entry(self.selector.shown(entry) if entry.alternates else entry)
        self._pending.append(frame)
        self._pending_bytes += len(frame)
        self._last = entry.cursor
        if self._pending_bytes >= FLUSH_BYTES:
            self.flush()
        elif self._timer is None:
            now = time.monotonic()
            if now >= self._not_before:
                self.flush()
            else:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(self._not_before - now, self.flush)

    def flush(self) -> None:
        """Once per flush: joining, framing, counting. Once per subscriber: a write."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._flushing or not self._pending:
            return
        began = time.monotonic()
        try:
            data = self.format.join(self._pending, self._last)
        except ValueError as error:
            logger.error("entries could not be told: %s", error)
            self._pending.clear()
            self._pending_bytes = 0
            self._end_readers("failed")
            return
        events = len(self._pending)
        self._pending.clear()
        self._pending_bytes = 0
        # Before the writes: one that fills its connection makes a subscriber leave, and count.
        self._written = (self._written[0] + events, self._written[1] + len(data))
        self._flushing = True
        try:
            for framing, readers in self._by_framing.items():
                framed = framing.frame(data)
                for reader in readers:
                    reader.connection.write_framed(framed)
        finally:
            self._flushing = False
        receivers = self.readers
        for reader in self._filled:
            self._discard(reader)
        self._filled.clear()
        self.last_write = now = time.monotonic()
        self._not_before = now + self._linger(events, began, now)
        self._meter.events.inc(events * receivers)
        self._meter.bytes.inc(len(data) * receivers)
        if self._governor.sampled(now):
            self._meter.lag.observe(max(0.0, time.time() - self._oldest))
        if self.format.once:
            self._end_readers("complete")

    def _linger(self, events: int, began: float, now: float) -> float:
        """Seconds until the next flush.

        Where writing each event by itself would keep the process busy, a large audience lingers as
        long as its flush took, and one of many as long as the flushes of all of them: events are
        joined instead of queued, and other work gets its turn.
        """
        governor, worked = self._governor, now - began
        governor.flushed(events, began, now)
        by_all, self._worked = governor.worked - self._worked, governor.worked
        rate = events / max(began - self._flushed_at, governor.interval, 0.001)
        self._rate += RATE_WEIGHT * (rate - self._rate)
        self._flushed_at = began
        if governor.busy and by_all > 2 * worked:
            # Until all others have flushed, and as long again.
            return max(governor.interval, worked, min(2 * by_all - worked, LONGEST_LINGER))
        return max(governor.interval, worked) if self._rate * worked > BUSY else governor.interval

    def _end_readers(self, reason: Reason) -> None:
        """Long-poll responses end after one write. End them in the next turn of the loop: ending
        the last subscriber drops this audience while `Broadcast._push` iterates over the audiences.
        """
        served = [reader for readers in self._by_framing.values() for reader in readers]
        self._by_framing.clear()
        for reader in served:
            asyncio.get_running_loop().call_soon(reader.end, reason)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
