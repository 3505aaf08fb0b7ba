"""A journal in Redis: shared by all processes of a hub, and there when they are gone.

An entry is in the stream before anybody hears of it. state.lua, append.lua and read.lua
document the keys, and how an epoch ends where a primary may have lost entries.
"""

import asyncio
import itertools
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from redis.exceptions import ResponseError

from eddyline.errors import Unavailable, UnknownFormat
from eddyline.journal.base import (
    EVERYTHING,
    KEY_AGE,
    Entry,
    Follower,
    Interest,
    NewEntry,
    Page,
    Receipt,
    TopicBounds,
    unbounded,
)
from eddyline.journal.cursor import Cursor, new_epoch
from eddyline.redis import record as redis_record
from eddyline.redis.appends import Append, Batch, known_receipt
from eddyline.redis.keys import HubKeys
from eddyline.redis.link import CALL_TIMEOUT, RedisLink, Script
from eddyline.redis.listener import RedisListener
from eddyline.redis.primary import Primary
from eddyline.tasks import background
from eddyline.telemetry.base import BusMeter, NoBusMeter

#: Appends that come while one is on its way go together: so many entries, so many bytes.
BATCH_ENTRIES = 512
BATCH_BYTES = 1024 * 1024

#: Bytes of appends that may wait for Redis; appends beyond them are refused at once.
WAITING_BYTES = 32 * 1024 * 1024

#: Bytes of a page: about as many as a connection takes at once.
PAGE_BYTES = 64 * 1024

#: Seconds between two attempts to send a batch.
SEND_AGAIN = 0.1

_PUBLISH = Script.load("state.lua", "append.lua")
_READ = Script.load("state.lua", "read.lua")
_LOCATE = Script.load("locate.lua")


class RedisJournal:
    """One hub's journal; use it within `async with`. Bounded by entries, bytes and age (seconds).

    `url` as in primary.py. `key_age`: seconds for which idempotency keys are remembered; it must
    be longer than any append takes. All processes of a hub must be given the same bounds.
    """

    def __init__(
        self,
        url: str,
        hub: str = "events",
        *,
        max_entries: int = 1_000_000,
        max_bytes: int = 256 * 1024 * 1024,
        max_age: float = 3600.0,
        key_age: float = KEY_AGE,
        of_topic: Callable[[str], TopicBounds | None] = unbounded,
        meter: BusMeter | None = None,
    ) -> None:
        primary = Primary(url, HubKeys.from_hub(hub).prefix)
        self.keys: Final = HubKeys.from_hub(hub, primary.database)
        #: The link for reads and small calls. Appends have their own: no long read delays them.
        self.link: Final = RedisLink(primary)
        self._publishing = RedisLink(primary)
        self._meter = meter or NoBusMeter()
        self._bounds = (max_entries, max_bytes, int(max_age * 1000))
        self._of_topic = of_topic
        self._key_age = int(key_age * 1000)
        #: The newest entry that a call has told of.
        self._known = Cursor("", 0)
        self._batch_key = self.keys.key(f"batch:{secrets.token_hex(8)}")
        self._batch = 0
        self._queue: deque[Append] = deque()
        self._waiting = 0
        self._wake = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._listeners: set[RedisListener] = set()

    async def __aenter__(self) -> "RedisJournal":
        """Raises UnknownFormat where a later version wrote the hub's keys."""
        try:
            await self.read(None, 0)
        except UnknownFormat:
            await self.link.close()
            raise
        except Unavailable:
            pass  # Redis is away: the journal begins once it is there
        self._writer = asyncio.create_task(self._write())
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        for waiting in self._queue:
            self._fail(waiting, Unavailable("the process is stopping", 2.0))
        self._queue.clear()
        await self.link.close()
        await self._publishing.close()

    @property
    def fault(self) -> str | None:
        """Why streams may be behind at this moment; None where the bus is proven."""
        faults = (listener.fault for listener in self._listeners)
        return next((fault for fault in faults if fault), None)

    async def append(self, batch: Sequence[NewEntry]) -> list[Receipt]:
        records = [redis_record.encode(new) for new in batch]
        loop = asyncio.get_running_loop()
        append = Append(batch, records, loop.time() + CALL_TIMEOUT, loop.create_future())
        if self._waiting and self._waiting + append.size > WAITING_BYTES:
            raise Unavailable("too many events wait for Redis: nothing was done", 2.0)
        self._waiting += append.size
        self._queue.append(append)
        self._wake.set()
        return await append.receipts

    async def read(self, after: Cursor | None, limit: int, interest: Interest = EVERYTHING) -> Page:
        epoch, sequence = (after.epoch, after.sequence) if after is not None else ("", 0)
        place = (epoch, sequence, limit, PAGE_BYTES)
        arguments = (*self._state(), *place, interest.since, *_asked(interest))
        answer = await self._run(self.link, _READ, self.keys.journal, arguments, reads=True)
        name, head, first, gap, rows, lost, starts = answer
        epoch = name.decode()
        oldest = Cursor(epoch, first - 1)
        entries = redis_record.from_stream(rows)
        self._learn(Cursor(epoch, head))
        topics = tuple(topic.decode() for topic in lost)
        begun = {topic: at for (topic, _), at in zip(interest.last, starts, strict=True)}
        return Page(entries, oldest, Cursor(epoch, head), gap.decode() or None, topics, begun)

    async def locate(self, id: str) -> Entry | None:
        # One call, whether there is such an entry or not: the time would tell a stranger.
        keys = (self.keys.key("journal"), self.keys.key("ids"))
        row = await self.link.run(_LOCATE, keys, (id,), reads=True)
        return redis_record.from_stream([row])[0] if row else None

    async def topics(self, limit: int, before: int | None = None) -> list[tuple[str, Cursor]]:
        newest = "+inf" if before is None else f"({before}"
        rest = (newest, "-inf", "WITHSCORES", "LIMIT", 0, limit)
        found = await self.link.call("ZREVRANGEBYSCORE", self.keys.key("topics"), *rest)
        epoch = await self.link.call("HGET", self.keys.key("meta"), "epoch")
        scored = zip(found[::2], found[1::2], strict=True)
        return [
            (topic.decode(), Cursor((epoch or b"0").decode(), int(sequence)))
            for topic, sequence in scored
        ]

    async def signal(self, message: bytes) -> None:
        await self.link.call("PUBLISH", self.keys.bus, b"signal\n" + message)

    @asynccontextmanager
    async def follow(self, follower: Follower) -> AsyncIterator[None]:
        """Goes on once the retained entries were delivered, or without them where Redis is away."""
        listener = RedisListener(self.keys, self.link, self.read, follower, self._meter)
        self._listeners.add(listener)
        try:
            async with background(listener.run()):
                await listener.tried.wait()
                yield
        finally:
            self._listeners.discard(listener)

    def _state(self) -> tuple[str | int, ...]:
        """The arguments of state.lua, but for the first one."""
        heads = (listener.head for listener in self._listeners if listener.head is not None)
        known = self._known
        for head in heads:
            if head.epoch == known.epoch and head.sequence > known.sequence:
                known = head
        return (new_epoch(), *self._bounds, known.epoch, known.sequence)

    def _learn(self, cursor: Cursor) -> None:
        if cursor.epoch != self._known.epoch or cursor.sequence > self._known.sequence:
            self._known = cursor

    # Appending: one batch is on its way, those that come meanwhile go together in the next.

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                await self._send(self._take())

    def _take(self) -> list[Append]:
        taken = [self._queue.popleft()]
        entries, size = len(taken[0].batch), taken[0].size
        while self._queue:
            following = self._queue[0]
            entries, size = entries + len(following.batch), size + following.size
            if entries > BATCH_ENTRIES or size > BATCH_BYTES:
                break
            taken.append(self._queue.popleft())
        return taken

    async def _send(self, appends: list[Append]) -> None:
        """Sends a batch until it is there, or the first of its appends has waited too long."""
        self._batch += 1
        deadline = appends[0].deadline
        loop = asyncio.get_running_loop()
        failure: Exception
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    self._settle(appends, await self._publish(appends))
                return
            except (Unavailable, TimeoutError) as error:
                failure = error
            except Exception as error:
                # Redis refuses the batch itself: to send it again would not help.
                failure = error
                break
            if loop.time() + SEND_AGAIN >= deadline:
                break
            await asyncio.sleep(SEND_AGAIN)
        if isinstance(failure, TimeoutError):
            text = "Redis does not answer: the events may have been appended or not"
            failure = Unavailable(text, 2.0)
        for append in appends:
            self._fail(append, failure)

    async def _publish(self, appends: list[Append]) -> Any:
        batch = Batch.from_appends(appends, self.keys, self._of_topic)
        fixed = (*self._state(), self.keys.bus, self._batch, self._key_age)
        hub_keys = (*self.keys.journal, self._batch_key, *batch.keys)
        arguments = (*fixed, batch.count, *batch.entries)
        return await self._run(self._publishing, _PUBLISH, hub_keys, arguments)

    async def _run(
        self,
        link: RedisLink,
        script: Script,
        keys: Sequence[str],
        arguments: Sequence[Any],
        *,
        reads: bool = False,
    ) -> Any:
        try:
            return await link.run(script, keys, arguments, reads=reads)
        except ResponseError as error:
            match str(error).split():
                case ["FORMAT", found, newest]:
                    journal = f"the journal {self.keys.prefix} in Redis"
                    raise UnknownFormat(journal, found, newest) from None
            raise

    def _settle(self, appends: list[Append], answer: Any) -> None:
        name, sequence, *others = answer
        epoch = name.decode()
        known = {other[0]: other for other in others}
        self._learn(Cursor(epoch, sequence - 1))
        index = 0
        for append in appends:
            receipts = []
            for new in append.batch:
                if known and (other := known.get(index)) is not None:
                    receipts.append(known_receipt(*other[1:]))
                else:
                    cursor = Cursor(epoch, sequence)
                    receipts.append(Receipt(cursor, new.id or str(cursor)))
                    self._learn(cursor)
                    sequence += 1
                index += 1
            self._waiting -= append.size
            if not append.receipts.done():
                append.receipts.set_result(receipts)

    def _fail(self, append: Append, error: Exception) -> None:
        self._waiting -= append.size
        if not append.receipts.done():
            append.receipts.set_exception(error)


def _asked(interest: Interest) -> tuple[object, ...]:
    """The last arguments of read.lua."""
    if interest.last:
        return (2, *itertools.chain.from_iterable(interest.last))
    return (0,) if interest.topics is None else (1, *interest.topics)
