"""Streams that a process follows: a subscription for each, which is looked after.

Redis tells of each write on the stream's channel. A message can be lost with its connection, so the
process also asks, about once a second, where its streams are.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from eddyline.errors import Unavailable
from eddyline.journal.cursor import Cursor
from eddyline.redis.primary import Failure, Primary, RedisConnection
from eddyline.redis.streams.answers import Answer
from eddyline.redis.streams.followed import Followed
from eddyline.store.base import StreamFollower
from eddyline.tasks import Backoff, background

#: Seconds between two looks at all streams, and the part of a stream's `ttl` that may pass.
LOOK = 1.0
PART = 3

#: Streams that one call looks at.
KEYS = 100

#: Seconds for a subscription to be confirmed.
CONFIRMED = 5.0

#: Seconds between two attempts to connect, doubled up to the second.
BACKOFF = (0.05, 2.0)

_log = logging.getLogger("eddyline.redis")


class _Missed(Exception):
    """A message did not come: the connection can't be trusted any more."""


class Following:
    """All streams that this process follows. `look` asks where some are: see look.lua."""

    def __init__(
        self, primary: Primary, prefix: str, look: Callable[[Sequence[str]], Awaitable[Any]]
    ) -> None:
        self._primary = primary
        self._prefix = prefix
        self._look = look
        self._streams: dict[str, Followed] = {}
        self._by_channel: dict[bytes, Followed] = {}
        self._connection: RedisConnection | None = None
        self._needed = asyncio.Event()

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        async with background(self._listen()):
            yield

    @asynccontextmanager
    async def follow(
        self, key: str, follower: StreamFollower, state: Callable[[str], Awaitable[Answer]]
    ) -> AsyncIterator[None]:
        """As `StreamStore.follow`. `state` asks for the stream's state."""
        answer = await state(key)
        stream = self._streams.get(key)
        if stream is not None and stream.life != answer.info.life:
            self._lose(stream)
            stream = None
        if stream is None:
            stream = self._add(key, answer)
        stream.waiting += 1
        try:
            await self._confirmed(stream)
            if not stream.begun:
                # Writes before the subscription are read; those after it come as messages.
                stream.begin((await state(key)).info)
            with stream.followed(follower):
                yield
        finally:
            stream.waiting -= 1
            if not stream.waiting and self._streams.get(key) is stream:
                await self._remove(stream)

    def _add(self, key: str, answer: Answer) -> Followed:
        channel = f"{self._prefix}c:{answer.store}:{key}".encode(errors="surrogatepass")
        stream = Followed(key, channel, answer.info)
        self._streams[key] = self._by_channel[channel] = stream
        self._needed.set()
        if self._connection is not None:
            stream.subscribing = asyncio.ensure_future(self._subscribe(self._connection, stream))
        return stream

    async def _confirmed(self, stream: Followed) -> None:
        try:
            await asyncio.wait_for(stream.confirmed.wait(), CONFIRMED)
        except TimeoutError:
            raise Unavailable("Redis is away: the stream can't be followed", 2.0) from None

    def _lose(self, stream: Followed) -> None:
        """The stream is gone, though another one may have its key."""
        if self._streams.get(stream.key) is stream:
            del self._streams[stream.key]
        stream.gone()

    async def _remove(self, stream: Followed) -> None:
        del self._streams[stream.key]
        if self._by_channel.get(stream.channel) is stream:
            del self._by_channel[stream.channel]
            if self._connection is not None:
                with suppress(*Failure):
                    await self._connection.send("UNSUBSCRIBE", stream.channel)

    async def _subscribe(self, connection: RedisConnection, stream: Followed) -> None:
        with suppress(*Failure):
            await connection.send("SUBSCRIBE", stream.channel)

    async def _listen(self) -> None:
        backoff = Backoff(*BACKOFF)
        while True:
            await self._needed.wait()
            try:
                connection = await self._primary.connect()
                try:
                    self._connection = connection
                    await self._serve(connection)
                finally:
                    self._connection = None
                    await connection.close()
            except* (_Missed, Unavailable, *Failure) as group:
                _log.warning("the subscription to streams is rebuilt: %r", group.exceptions[0])
            await asyncio.sleep(backoff.next())

    async def _serve(self, connection: RedisConnection) -> None:
        for stream in self._streams.values():
            stream.confirmed.clear()
            await self._subscribe(connection, stream)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read(connection))
            tasks.create_task(self._keep_looking())

    async def _read(self, connection: RedisConnection) -> None:
        while True:
            match await connection.read():
                case [b"subscribe", channel, _] if channel in self._by_channel:
                    self._by_channel[channel].confirmed.set()
                case [b"message", channel, data] if channel in self._by_channel:
                    stream = self._by_channel[channel]
                    if stream.on_message(data):
                        self._lose(stream)

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(self._pause())
            streams = [stream for stream in self._streams.values() if stream.begun]
            for at in range(0, len(streams), KEYS):
                await self._look_at(streams[at : at + KEYS])

    def _pause(self) -> float:
        ttls = [stream.ttl for stream in self._streams.values() if stream.ttl is not None]
        return min([LOOK, *(ttl / PART for ttl in ttls)])

    async def _look_at(self, streams: list[Followed]) -> None:
        missed = False
        for stream, found in zip(
            streams, await self._look([stream.key for stream in streams]), strict=True
        ):
            if not found or found[0].decode() != stream.life:
                self._lose(stream)
                continue
            head, end = Cursor.parse(found[1].decode()), found[2].decode(errors="surrogatepass")
            missed |= stream.is_behind(head, end[1:] if end else None)
        if missed:
            raise _Missed("a write was not told of")
