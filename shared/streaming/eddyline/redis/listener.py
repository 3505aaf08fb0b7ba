"""The supervised subscription to a hub's bus: proven by probes, rebuilt after any fault, refilled.

It subscribes first and reads the stream then: an entry that is published between the two comes
twice, and is dropped by its sequence; none can be missed. After any fault the way back is the same:
a new connection, and the missing entries from the stream. Followers notice nothing.
"""

import asyncio
import itertools
import logging
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from eddyline.errors import Unavailable
from eddyline.journal.base import Follower, Page
from eddyline.journal.cursor import Cursor
from eddyline.redis import record as redis_record
from eddyline.redis.keys import HubKeys
from eddyline.redis.link import RedisLink
from eddyline.redis.primary import CONNECT_TIMEOUT, Failure, RedisConnection, info
from eddyline.tasks import Backoff
from eddyline.telemetry.base import BusMeter

#: Seconds between probes, and seconds for one to come back before the connection is given up.
PROBE_INTERVAL = 1.0
PROBE_TIMEOUT = 4.0

#: Probes to one look at how full Redis is.
PROBES_TO_A_LOOK = 3

#: Seconds between two attempts to connect, doubled up to the second.
BACKOFF = (0.05, 2.0)

#: Entries that a process reads at its start, so that clients of another one find them here: about
#: as many as the broadcast keeps at hand.
BACKLOG = 16_384
PAGE = 512

_log = logging.getLogger("eddyline.bus")


class BusFault(Exception):
    """The connection can't be trusted any more."""


class RedisListener:
    """Brings the journal's entries to one follower, for as long as `run` runs."""

    def __init__(
        self,
        keys: HubKeys,
        link: RedisLink,
        read: Callable[[Cursor | None, int], Awaitable[Page]],
        follower: Follower,
        meter: BusMeter,
    ) -> None:
        """`read` is the journal's, over the same link."""
        #: The last entry that was delivered, or the cursor last skipped to.
        self.head: Cursor | None = None
        #: Set after the first attempt, whether it succeeded or not.
        self.tried: Final = asyncio.Event()
        self._keys = keys
        self._link = link
        self._read_journal = read
        self._follower = follower
        self._meter = meter
        self._probe_channel = keys.key(f"probe:{secrets.token_hex(8)}").encode()
        self._proven_at: float | None = None
        self._last_fault = "it was not reached yet"
        self._full: str | None = None
        #: The probe that is on its way: its text, and the head that was seen before it.
        self._probe: tuple[bytes, Cursor] | None = None

    @property
    def fault(self) -> str | None:
        now = time.monotonic()
        if self._proven_at is not None and now - self._proven_at < PROBE_TIMEOUT:
            return self._full
        return f"the bus (Redis) is not proven: {self._last_fault}"

    async def run(self) -> None:
        backoff = Backoff(*BACKOFF)
        while True:
            began = time.monotonic()
            try:
                await self._listen()
            except* Exception as group:
                error = _first(group)
                self._last_fault = f"{type(error).__name__}: {error}"
                expected = isinstance(error, (BusFault, Unavailable, *Failure))
                cause = None if expected else error
                _log.warning("the bus is rebuilt: %s", self._last_fault, exc_info=cause)
            self._proven_at = self._probe = None
            self._meter.proven_at.set(0)
            self.tried.set()
            if time.monotonic() - began > BACKOFF[1]:
                backoff.reset()
            await asyncio.sleep(backoff.next())

    async def _listen(self) -> None:
        connection = await self._link.primary.connect()
        self._meter.connects.inc()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await self._subscribe(connection)
            await self._refill()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read(connection))
                tasks.create_task(self._keep_proving(connection))
        finally:
            await connection.close()

    async def _subscribe(self, connection: RedisConnection) -> None:
        await connection.send("SUBSCRIBE", self._keys.bus, self._probe_channel)
        await connection.send("PSUBSCRIBE", _escaped(self._keys.live) + "*")
        for _ in range(3):
            await connection.read()

    # Messages of the bus.

    async def _read(self, connection: RedisConnection) -> None:
        while True:
            await self._on_message(await connection.read())

    async def _on_message(self, message: list[Any]) -> None:
        match message:
            case [b"message", channel, data] if channel == self._probe_channel:
                await self._on_probe(data)
            case [b"message", _, data] if data.startswith(b"signal\n"):
                self._follower.signal(data[7:])
            case [b"message", _, data]:
                await self._on_entries(data)
            case [b"pmessage", _, channel, data]:
                topic = channel.decode(errors="replace").removeprefix(self._keys.live)
                self._follower.deliver_ephemeral(topic, data.decode(errors="replace"))

    async def _on_entries(self, data: bytes) -> None:
        assert self.head is not None
        first, _, _ = redis_record.place_in_bus(data)
        if first.epoch != self.head.epoch or first.sequence > self.head.sequence + 1:
            self._meter.gaps.inc()
            await self._refill()
        if first.epoch != self.head.epoch:
            return  # of an epoch that the stream has no entry of, or that the refill has ended
        # An entry that was read in the stream already comes twice.
        for entry in redis_record.from_bus(data, self.head.sequence + 1 - first.sequence):
            if entry.cursor.sequence == self.head.sequence + 1:
                self.head = entry.cursor
                self._follower.deliver(entry)

    async def _refill(self) -> None:
        """Reads the entries that the bus did not bring in the stream, up to the head."""
        if self.head is None:
            page = await self._read_journal(None, 0)
            first = max(page.oldest.sequence, page.head.sequence - BACKLOG)
            self._skip(Cursor(page.head.epoch, first))
        while True:
            assert self.head is not None
            page = await self._read_journal(self.head, PAGE)
            if page.gap is not None or page.lost:
                self._skip(page.head)  # each subscriber asks whether it missed anything
                return
            for entry in page.entries:
                self.head = entry.cursor
                self._follower.deliver(entry)
            self._meter.refilled.inc(len(page.entries))
            if self.head.sequence >= page.head.sequence:
                break
        if self.head.epoch != page.head.epoch:
            self._skip(page.head)  # an epoch has begun, and no entry of it yet

    def _skip(self, head: Cursor) -> None:
        self.head = head
        self._follower.skip(head)

    # Whether the bus brings anything: a connection can be open and silent for ever.

    async def _keep_proving(self, connection: RedisConnection) -> None:
        for number in itertools.count():
            await self._send_probe(connection)
            if number % PROBES_TO_A_LOOK == 0:
                await self._look_at_memory()
            # Jittered, so that the processes of a hub don't probe together.
            await asyncio.sleep(PROBE_INTERVAL * random.uniform(0.8, 1.2))
            if self._probe is not None:
                async with asyncio.timeout(PROBE_TIMEOUT):
                    while self._probe is not None:
                        await asyncio.sleep(PROBE_INTERVAL / 10)

    async def _send_probe(self, connection: RedisConnection) -> None:
        head = (await self._read_journal(None, 0)).head
        if self._link.run_id != connection.run_id:
            raise BusFault("calls and messages are of two servers, or two lives of one")
        self._probe = (secrets.token_bytes(8), head)
        await self._link.call("PUBLISH", self._probe_channel, self._probe[0])

    async def _look_at_memory(self) -> None:
        memory = info(await self._link.call("INFO", "memory"))
        self._meter.memory.set(int(memory["used_memory"]))
        self._meter.memory_limit.set(int(memory["maxmemory"]))
        used, limit = int(memory["used_memory"]), int(memory["maxmemory"])
        evicts = memory["maxmemory_policy"] != "noeviction"
        full = limit and used >= limit and not evicts
        self._full = f"Redis is full ({used} of {limit} bytes): no event is taken" if full else None

    async def _on_probe(self, text: bytes) -> None:
        if self._probe is None or text != self._probe[0]:
            return
        # Each entry that was in the journal before the probe came over the bus before it.
        _, head = self._probe
        self._probe = None
        assert self.head is not None
        if head.epoch != self.head.epoch or head.sequence > self.head.sequence:
            self._meter.gaps.inc()
            await self._refill()
        self._proven_at = time.monotonic()
        self._meter.proven_at.set(time.time())
        self.tried.set()


def _first(group: BaseExceptionGroup) -> BaseException:
    """One of the errors; of a group of groups, one from the innermost."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _escaped(text: str) -> str:
    """A pattern of Redis that means the text itself."""
    return "".join("\\" + c if c in "*?[]\\" else c for c in text)
