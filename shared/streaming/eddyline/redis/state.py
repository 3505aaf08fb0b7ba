"""Values that the processes of one hub share, in Redis.

Keys, all with the hub's hash tag; `P` is the random name of a process:

- `state:processes`: a set, the processes that may have values.
- `state:alive:P`: exists while the process lives, and for LIFE seconds after it died.
- `state:<kind>:P`: a hash, the values of one kind that the process owns; it expires likewise.
- `state:<kind>`: a hash, the values without an owner: expiry (unix seconds), a space, the value.
- `state:once:<key>`: a value that one caller gets.
- `state:debt:<key>`: when a debt is paid, in microseconds.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from eddyline.errors import Unavailable
from eddyline.journal.state import shrink
from eddyline.redis.keys import HubKeys
from eddyline.redis.link import RedisLink, Script
from eddyline.tasks import background

#: Seconds for which a process's values outlive it, and seconds between two signs of life.
LIFE = 8.0
REFRESH = 2.5

#: Fields that one command writes.
FIELDS = 500

_CHARGE = Script.load("charge.lua")

_log = logging.getLogger("eddyline.redis")


class RedisState:
    """The state of a hub whose journal is in Redis; use it within `async with state.run()`."""

    shared = True

    def __init__(self, link: RedisLink, keys: HubKeys) -> None:
        self._link = link
        self._prefix = keys.key("state:")
        self._process = secrets.token_hex(8)
        self._mine: dict[str, dict[str, bytes]] = {}
        #: Keys by kind whose present value Redis does not have yet.
        self._dirty: dict[str, set[str]] = {}
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Gives signs of life. At the end the values are left to expire: the clients that they
        speak of may be on their way to another process.
        """
        async with background(self._live()):
            yield

    async def put(self, kind: str, key: str, value: bytes, seconds: float | None = None) -> None:
        if seconds is not None:
            ends = b"%d %b" % (int(time.time() + seconds) + 1, value)
            await self._link.call("HSET", self._prefix + kind, key, ends)
            return
        self._mine.setdefault(kind, {})[key] = shrink(value)
        await self._write(kind, key)

    async def drop(self, kind: str, key: str) -> None:
        if self._mine.get(kind, {}).pop(key, None) is not None:
            await self._write(kind, key)

    async def all(self, kind: str) -> dict[str, bytes]:
        values = await self._kept(kind)
        for process in await self._link.call("SMEMBERS", self._prefix + "processes"):
            name = process.decode()
            found = await self._hash(f"{kind}:{name}")
            values |= found
            if not found and not await self._link.call("EXISTS", f"{self._prefix}alive:{name}"):
                await self._link.call("SREM", self._prefix + "processes", process)
        return values

    async def put_once(self, key: str, value: bytes, seconds: float) -> None:
        milliseconds = max(1, int(seconds * 1000))
        await self._link.call("SET", f"{self._prefix}once:{key}", value, "PX", milliseconds)

    async def pop(self, key: str, *, leave: bool = False) -> bytes | None:
        command = "GET" if leave else "GETDEL"
        value: bytes | None = await self._link.call(command, f"{self._prefix}once:{key}")
        return value

    async def charge(self, key: str, seconds: float, burst: float) -> float:
        arguments = (int(seconds * 1e6), int(burst * 1e6))
        wait: int = await self._link.run(_CHARGE, (f"{self._prefix}debt:{key}",), arguments)
        return wait / 1e6

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

    # Writes are batched: the task that holds the lock writes every pending value, so that 10,000
    # simultaneous joins become a few commands.

    async def _write(self, kind: str, key: str) -> None:
        self._dirty.setdefault(kind, set()).add(key)
        async with self._lock:
            if key in self._dirty.get(kind, ()):
                await self._write_all(kind)

    async def _write_all(self, kind: str) -> None:
        keys = self._dirty.pop(kind, set())
        try:
            await self._send(kind, keys)
        except BaseException:
            self._dirty.setdefault(kind, set()).update(keys)
            raise

    async def _send(self, kind: str, keys: set[str]) -> None:
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
                pass  # the link logs it; the values follow once Redis is back
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
                    # Redis lost the values, or never had one.
                    self._dirty.setdefault(kind, set()).update(self._mine[kind])
                if kind in self._dirty:
                    await self._write_all(kind)
