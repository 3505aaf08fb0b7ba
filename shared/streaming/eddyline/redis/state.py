"""What the processes of one hub know together, in Redis.

Keys, all with the hub's hash tag, `P` being this process:

- `state:processes`: a set, the processes that may have values.
- `state:alive:P`: there while the process is, or was LIFE ago.
- `state:<kind>:P`: a hash, its values of one kind; it has the same life.
- `state:<kind>`: a hash, the values of nobody, each after its end (unix seconds) and a space.
- `state:lent:<key>`: what may be taken once.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from eddyline.errors import Unavailable
from eddyline.journal.state import snug
from eddyline.redis.link import RedisLink
from eddyline.tasks import background

#: Seconds for which a process's values outlive it, and between two signs of life.
LIFE = 30.0
REFRESH = 10.0

#: Fields that one command writes.
FIELDS = 500

_log = logging.getLogger("eddyline.events")


class RedisState:
    """The state of a hub whose journal is in Redis; use it within `async with state.run()`."""

    def __init__(self, link: RedisLink, prefix: str) -> None:
        self._link = link
        self._prefix = prefix + "state:"
        self._process = secrets.token_hex(8)
        self._mine: dict[str, dict[str, bytes]] = {}
        #: Keys by kind that Redis does not know yet as they are here.
        self._unsaid: dict[str, set[str]] = {}
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Gives signs of life. At the end its values are left to die: their owners may be on their
        way to another process.
        """
        async with background(self._live()):
            yield

    async def put(self, kind: str, key: str, value: bytes, seconds: float | None = None) -> None:
        if seconds is not None:
            ends = b"%d %b" % (int(time.time() + seconds) + 1, value)
            await self._link.call("HSET", self._prefix + kind, key, ends)
            return
        self._mine.setdefault(kind, {})[key] = snug(value)
        await self._say(kind, key)

    async def drop(self, kind: str, key: str) -> None:
        if self._mine.get(kind, {}).pop(key, None) is not None:
            await self._say(kind, key)

    async def all(self, kind: str) -> dict[str, bytes]:
        values = await self._kept(kind)
        for process in await self._link.call("SMEMBERS", self._prefix + "processes"):
            name = process.decode()
            found = await self._hash(f"{kind}:{name}")
            values |= found
            if not found and not await self._link.call("EXISTS", f"{self._prefix}alive:{name}"):
                await self._link.call("SREM", self._prefix + "processes", process)
        return values

    async def lend(self, key: str, value: bytes, seconds: float) -> None:
        milliseconds = max(1, int(seconds * 1000))
        await self._link.call("SET", f"{self._prefix}lent:{key}", value, "PX", milliseconds)

    async def take(self, key: str, *, leave: bool = False) -> bytes | None:
        command = "GET" if leave else "GETDEL"
        value: bytes | None = await self._link.call(command, f"{self._prefix}lent:{key}")
        return value

    async def _kept(self, kind: str) -> dict[str, bytes]:
        now = time.time()
        values, gone = {}, []
        for key, raw in (await self._hash(kind)).items():
            ends, _, value = raw.partition(b" ")
            if int(ends) > now:
                values[key] = value
            else:
                gone.append(key)
        if gone:
            await self._link.call("HDEL", self._prefix + kind, *gone)
        return values

    async def _hash(self, name: str) -> dict[str, bytes]:
        flat = await self._link.call("HGETALL", self._prefix + name)
        return {key.decode(): value for key, value in zip(flat[::2], flat[1::2], strict=True)}

    # Ten thousand who come at once are a few commands: who waits for the lock finds that its value
    # went with another's.

    async def _say(self, kind: str, key: str) -> None:
        self._unsaid.setdefault(kind, set()).add(key)
        async with self._lock:
            if key in self._unsaid.get(kind, ()):
                await self._say_all(kind)

    async def _say_all(self, kind: str) -> None:
        keys = self._unsaid.pop(kind, set())
        try:
            await self._write(kind, keys)
        except BaseException:
            self._unsaid.setdefault(kind, set()).update(keys)
            raise

    async def _write(self, kind: str, keys: set[str]) -> None:
        mine, name = self._mine.get(kind, {}), f"{self._prefix}{kind}:{self._process}"
        fields: list[Any] = []
        gone = []
        for key in keys:
            if key in mine:
                fields += (key, mine[key])
            else:
                gone.append(key)
        for start in range(0, len(fields), 2 * FIELDS):
            await self._link.call("HSET", name, *fields[start : start + 2 * FIELDS])
        for start in range(0, len(gone), FIELDS):
            await self._link.call("HDEL", name, *gone[start : start + FIELDS])
        if fields:
            await self._link.call("SADD", self._prefix + "processes", self._process)
            await self._link.call("PEXPIRE", name, int(LIFE * 1000))

    async def _live(self) -> None:
        while True:
            try:
                await self._give_sign()
            except Unavailable:
                pass  # said by the link; what is here goes there once Redis is back
            except Exception:
                _log.exception("the state of the hub's processes could not be refreshed")
            await asyncio.sleep(REFRESH)

    async def _give_sign(self) -> None:
        life = int(LIFE * 1000)
        await self._link.call("SET", f"{self._prefix}alive:{self._process}", 1, "PX", life)
        await self._link.call("SADD", self._prefix + "processes", self._process)
        for kind in list(self._mine):
            async with self._lock:
                name = f"{self._prefix}{kind}:{self._process}"
                if not await self._link.call("PEXPIRE", name, life):
                    # Redis has lost it, or never had any.
                    self._unsaid.setdefault(kind, set()).update(self._mine[kind])
                if kind in self._unsaid:
                    await self._say_all(kind)
