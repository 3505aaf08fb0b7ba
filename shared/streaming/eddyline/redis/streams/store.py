"""The store of streams in Redis: shared by all processes, and there when they are gone."""

import asyncio
import builtins
import logging
import secrets
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from redis.exceptions import ResponseError

from eddyline.errors import SettingsError, Unavailable, UnknownFormat
from eddyline.journal.cursor import Cursor, new_epoch
from eddyline.redis.link import RedisLink, Script
from eddyline.redis.primary import Primary
from eddyline.redis.streams.answers import Answer, config_to_json, fork_to_json, refuse
from eddyline.redis.streams.following import Following
from eddyline.store.base import (
    NOTHING,
    Batch,
    Chunk,
    Fork,
    StreamConfig,
    StreamFollower,
    Written,
)
from eddyline.store.writers import media_type
from eddyline.tasks import background

#: Connections for calls. Those of one stream go over the same one, in order.
LINKS = 4

#: Seconds between two looks for streams that have expired.
SWEEP = 5.0

_log = logging.getLogger("eddyline.redis")


def _script(name: str) -> Script:
    return Script.load("streams/state.lua", f"streams/{name}.lua")


_CREATE, _APPEND, _READ, _DELETE, _LIST, _LOOK, _SWEEP = map(
    _script, ("create", "append", "read", "delete", "list", "look", "sweep")
)

#: Scripts that may run twice: an answer that is lost with its connection is asked for again.
_READING = (_READ, _LIST, _LOOK, _SWEEP)


class RedisStore:
    """Streams in one Redis, for any number of processes; use it within `run()`.

    `url` as in primary.py; `name`: stores of two names in one Redis know nothing of each other. A
    write is as safe as Redis keeps it: `appendonly yes` and `appendfsync always` for each one.
    After a start or a failover of Redis, streams go on under new epochs: their newest records may
    be lost.
    """

    def __init__(self, url: str, name: str = "streams") -> None:
        self._prefix = f"eddyline:{{{name}}}:"
        primary = Primary(url, self._prefix)
        self._links = [RedisLink(primary) for _ in range(LINKS)]
        self._following = Following(primary, self._prefix, self._look)

    @classmethod
    def from_url(cls, url: str) -> "RedisStore":
        """`redis://host:6379/0?name=streams`; all other parameters are Redis's."""
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
        name = dict(query).get("name", "streams")
        if not name or set(name) & set("{}"):
            raise SettingsError(f"the store URL's name={name!r}: expected a word without braces")
        rest = urlencode([pair for pair in query if pair[0] != "name"])
        return cls(urlunsplit(parts._replace(query=rest)), name)

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Raises UnknownFormat where a later version wrote the store. Redis may be away."""
        try:
            await self._check_format()
            async with background(self._sweep()), self._following.run():
                yield
        finally:
            for link in self._links:
                await link.close()

    async def _check_format(self) -> None:
        try:
            await self._run(_SWEEP, "")
        except UnknownFormat:
            raise
        except Unavailable as error:
            _log.warning("the store begins once Redis is there: %s", error.detail)

    async def create(
        self, key: str, config: StreamConfig, first: Batch = NOTHING, fork: Fork | None = None
    ) -> Written:
        at = ("", "", "0") if fork is None else (fork.source, fork.at.epoch, str(fork.at.sequence))
        arguments = (
            config_to_json(config),
            media_type(config.content_type),
            _milliseconds(config.ttl),
            _milliseconds(config.expires_at),
            "" if config.max_bytes is None else config.max_bytes,
            int(config.trim),
            new_epoch(),
            _marked(first.end),
            fork_to_json(fork),
            *map(_encoded, at),
            len(first.records),
            *first.records,
        )
        answer = await self._run(_CREATE, key, *arguments)
        if answer[0] not in (b"new", b"found"):
            refuse(key, answer, first, fork)
        return Written(Answer.parse(answer[1]).info, new=answer[0] == b"new")

    async def append(self, key: str, batch: Batch) -> Written:
        stamp = batch.producer
        producer = ("", 0, 0) if stamp is None else (_marked(stamp.id), stamp.epoch, stamp.number)
        arguments = (
            "" if batch.content_type is None else media_type(batch.content_type),
            *producer,
            b"" if batch.order is None else b"=" + batch.order,
            "" if batch.after is None else str(batch.after),
            _marked(batch.end),
            new_epoch(),
            len(batch.records),
            *batch.records,
        )
        answer = await self._run(_APPEND, key, *arguments)
        if answer[0] not in (b"new", b"repeated"):
            refuse(key, answer, batch)
        accepted = int(answer[2]) if stamp is not None and answer[2] else None
        return Written(Answer.parse(answer[1]).info, answer[0] == b"new", accepted)

    async def read(self, key: str, after: Cursor | None, limit: int) -> Chunk:
        sequence = 0 if after is None else after.sequence
        result = await self._run(_READ, key, sequence, max(0, limit))
        if result[0] != b"read":
            refuse(key, result, NOTHING)
        answer = Answer.parse(result[1])
        gap = None if after is None else answer.gap(after)
        if gap is not None:
            return Chunk([], answer.info, gap)
        first = max(sequence, answer.info.oldest.sequence) + 1
        return Chunk(answer.records(first, result[2:]), answer.info)

    @asynccontextmanager
    async def follow(self, key: str, follower: StreamFollower) -> AsyncIterator[None]:
        async with self._following.follow(key, follower, self._state):
            yield

    async def delete(self, key: str) -> None:
        answer = await self._run(_DELETE, key)
        if answer[0] != b"done":
            refuse(key, answer, NOTHING)

    async def list(self, prefix: str, after: str | None, limit: int) -> builtins.list[str]:
        found = await self._run(_LIST, "", _encoded(prefix), _marked(after), limit)
        return [key.decode(errors="surrogatepass") for key in found]

    async def _state(self, key: str) -> Answer:
        result = await self._run(_READ, key, 0, 0)
        if result[0] != b"read":
            refuse(key, result, NOTHING)
        return Answer.parse(result[1])

    async def _look(self, keys: Sequence[str]) -> Any:
        return await self._run(_LOOK, "", *map(_encoded, keys))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP)
            try:
                while await self._run(_SWEEP, "") == 100:
                    pass
            except Unavailable as error:
                _log.info("expired streams stay for now: %s", error.detail)

    async def _run(self, script: Script, key: str, *arguments: Any) -> Any:
        """A script's answer. Raises Unavailable where nobody can say whether it ran."""
        encoded = _encoded(key)
        link = self._links[zlib.crc32(encoded) % LINKS]
        fixed = (self._prefix, secrets.token_hex(8), encoded)
        try:
            keys, reads = [self._prefix + "meta"], script in _READING
            return await link.run(script, keys, (*fixed, *arguments), reads=reads)
        except ResponseError as error:
            if str(error).startswith("FORMAT "):
                _, found, newest = str(error).split()
                raise UnknownFormat(f"the store {self._prefix}", found, newest) from error
            raise


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _marked(text: str | None) -> bytes:
    """A text that may be empty, or none."""
    return b"" if text is None else b"=" + _encoded(text)


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else str(int(seconds * 1000))
