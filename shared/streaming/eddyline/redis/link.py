"""A connection to the Redis primary of a hub: found anew after each failure, shared by many calls.

`redis://` and `rediss://` name the server, `redis+sentinel://host:port,host:port/NAME/DB` asks
Sentinels for it, `redis+cluster://host:port,host:port` the nodes of a cluster (`rediss+…`: TLS).
"""

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import hiredis
from redis.asyncio.connection import Connection, SSLConnection, parse_url
from redis.asyncio.sentinel import Sentinel
from redis.exceptions import (
    AskError,
    ClusterDownError,
    ConnectionError,
    MovedError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from eddyline.errors import SettingsError, Unavailable
from eddyline.tasks import Backoff

#: Seconds for a connection to be made and proven, and for a call with all its waiting.
CONNECT_TIMEOUT = 3.0
CALL_TIMEOUT = 5.0

#: Seconds between two attempts to connect, doubled up to the second.
BACKOFF = (0.05, 1.0)

_SCHEMES = "redis://, rediss://, redis+sentinel://, redis+cluster:// or a rediss+ form of these"
_MAX_REDIRECTS = 5

_log = logging.getLogger("eddyline.redis")

#: What goes wrong on the way to a server, or in one that is no primary (any more).
Failure: Final = (RedisError, OSError, TimeoutError, EOFError)


#: Error answers that say: not this server, or not now.
_ELSEWHERE = (AskError, ClusterDownError, OutOfMemoryError, ReadOnlyError, TryAgainError)
_NOT_NOW = {"MISCONF", "BUSY", "NOREPLICAS", "UNKILLABLE"}


class NotPrimary(ConnectionError):
    """The server that answered takes no writes for this key."""


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script, known to Redis by its digest."""

    source: bytes
    digest: str

    @classmethod
    def load(cls, *names: str) -> "Script":
        """The files of this package, one after the other."""
        folder = resources.files(__package__)
        source = b"\n".join((folder / name).read_bytes() for name in names)
        return cls(source, hashlib.sha1(source, usedforsecurity=False).hexdigest())


class Primary:
    """Where the primary is that has a key, and how to connect to it; raises SettingsError."""

    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url)
        base, _, self._kind = parts.scheme.partition("+")
        if base not in ("redis", "rediss") or self._kind not in ("", "sentinel", "cluster"):
            raise SettingsError(f"the Redis URL's scheme {parts.scheme!r}: expected {_SCHEMES}")
        self._key = key
        try:
            user, at, hosts = parts.netloc.rpartition("@")
            self._hosts = [_host_and_port(host) for host in hosts.split(",")]
            query = dict(parse_qsl(parts.query))
            of_sentinel = {
                k.removeprefix("sentinel_"): query.pop(k) for k in list(query) if "sentinel_" in k
            }
            name, _, path = parts.path.strip("/").partition("/")
            if self._kind != "sentinel":
                name, path = "", name
            rest = "&".join(f"{k}={v}" for k, v in query.items())
            host, port = self._hosts[0]
            options = dict(parse_url(f"{base}://{user}{at}{host}:{port}/{path}?{rest}"))
        except ValueError:
            # Not the error's own text: of a password with a slash it would quote a part.
            raise SettingsError(
                "the Redis URL is not one: expected SCHEME://user:password@host:port/DB, in which"
                " special characters of user and password are percent-encoded"
            ) from None
        self._class: type[Connection] = SSLConnection if base == "rediss" else Connection
        for known in ("host", "port", "connection_class"):
            options.pop(known, None)
        # RESP2: with it, messages of a subscription are plain answers.
        self._options: dict[str, Any] = options | {"protocol": 2, "socket_timeout": None}
        self._name = name
        if self._kind == "sentinel":
            if not name:
                raise SettingsError("redis+sentinel://: the path must name the primary: /NAME/DB")
            tls = {"ssl": True} if base == "rediss" else {}
            timeout = {"socket_timeout": CONNECT_TIMEOUT / 2}
            self._sentinel_options: dict[str, Any] = timeout | tls | of_sentinel

    async def connect(self) -> "RedisConnection":
        """A connection to the primary of this moment; raises one of `Failure`."""
        async with asyncio.timeout(CONNECT_TIMEOUT):
            if self._kind == "sentinel":
                return await self._connect(*await self._ask_sentinels())
            host, port = self._hosts[0]
            # The next attempt asks the next node, should this one be gone.
            self._hosts.append(self._hosts.pop(0))
            for _ in range(_MAX_REDIRECTS):
                try:
                    return await self._connect(host, port)
                except MovedError as error:
                    host, port = error.host or host, error.port
            raise NotPrimary(f"{_MAX_REDIRECTS} redirections, and no node has the hub's slot")

    async def _ask_sentinels(self) -> tuple[str, int]:
        sentinel = Sentinel(  # type: ignore[no-untyped-call]
            self._hosts, sentinel_kwargs=self._sentinel_options
        )
        try:
            host, port = await sentinel.discover_master(self._name)
            return str(host), int(port)
        finally:
            for asked in sentinel.sentinels:
                await asked.aclose()

    async def _connect(self, host: str, port: int) -> "RedisConnection":
        raw = self._class(host=host, port=port, **self._options)
        try:
            await raw.connect()  # type: ignore[no-untyped-call]
            connection = RedisConnection(raw)
            if self._kind == "cluster":
                await connection.call("EXISTS", self._key)
            await connection.learn_run_id()
            return connection
        except BaseException:
            await raw.disconnect(nowait=True)
            raise


class RedisConnection:
    """A connection to one life of one server: `life` is its run id."""

    def __init__(self, raw: Connection) -> None:
        self.raw = raw
        self.run_id: str = ""

    async def learn_run_id(self) -> None:
        server = info(await self.call("INFO", "server"))
        role = info(await self.call("INFO", "replication")).get("role")
        if role != "master":
            raise NotPrimary(f"{self.raw.host}:{self.raw.port} is a {role}, not the primary")
        self.run_id = server["run_id"]

    async def call(self, *command: Any) -> Any:
        """One command, one answer; an error answer is raised."""
        await self.send(*command)
        return await self.read()

    async def send(self, *command: Any) -> None:
        # asyncio itself raises TypeError for one that was lost while idle (Python 3.13.5).
        if self.raw._writer is None or self.raw._writer.is_closing():
            raise ConnectionError("the connection was lost before the command was sent")
        await self.raw.send_packed_command([hiredis.pack_command(command)], check_health=False)

    async def read(self) -> Any:
        return await self.raw.read_response(disable_decoding=True)

    async def close(self) -> None:
        await self.raw.disconnect(nowait=True)


class RedisLink:
    """Calls one after the other over one connection; a failed one is replaced."""

    def __init__(self, primary: Primary) -> None:
        self.primary = primary
        self._connection: RedisConnection | None = None
        self._lock = asyncio.Lock()
        self._backoff = Backoff(*BACKOFF)
        self._not_before = 0.0
        self._calls: set[asyncio.Task[Any]] = set()

    @property
    def run_id(self) -> str | None:
        """Which life of which server this talks to; None while to none."""
        return None if self._connection is None else self._connection.run_id

    async def call(self, *command: Any) -> Any:
        """The answer to one command; raises Unavailable, or RedisError where it is wrong."""
        return await self._run(lambda connection: connection.call(*command))

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """What a script returns. Its first argument is the life that the connection has."""

        async def evaluate(connection: RedisConnection) -> Any:
            rest = (len(keys), *keys, connection.run_id, *arguments)
            try:
                return await connection.call("EVALSHA", script.digest, *rest)
            except NoScriptError:
                return await connection.call("EVAL", script.source, *rest)

        return await self._run(evaluate)

    async def close(self) -> None:
        for task in self._calls:
            task.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        await self._drop()

    async def _run(self, work: Any) -> Any:
        # A task of its own: who asked may leave, but an answer half read would spoil the next.
        task = asyncio.create_task(self._attempt(work))
        self._calls.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        self._calls.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked may have left

    async def _attempt(self, work: Any) -> Any:
        try:
            async with asyncio.timeout(CALL_TIMEOUT), self._lock:
                try:
                    return await work(await self._connected())
                except ResponseError as error:
                    if not _is_away(error):
                        raise
                    await self._drop()
                    raise
                except BaseException:
                    await self._drop()
                    raise
        except ResponseError as error:
            if not _is_away(error):
                raise
            _log.warning("Redis does not take it now: %s", error)
            raise Unavailable("Redis does not take it now: nothing was done", 2.0) from error
        except Failure as error:
            _log.warning("Redis is away: %s: %s", type(error).__name__, error)
            raise Unavailable("Redis is away: nothing was done", 2.0) from error

    async def _connected(self) -> RedisConnection:
        if self._connection is None:
            loop = asyncio.get_running_loop()
            if loop.time() < self._not_before:
                raise ConnectionError("the last attempt failed a moment ago")
            try:
                self._connection = await self.primary.connect()
            except BaseException:
                self._not_before = loop.time() + self._backoff.next()
                raise
            self._backoff.reset()
        return self._connection

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def _is_away(error: ResponseError) -> bool:
    """Whether an error answer says: not this server, or not now."""
    return isinstance(error, _ELSEWHERE) or _first_word(error) in _NOT_NOW


def _first_word(error: Exception) -> str:
    return (str(error).split() or [type(error).__name__])[0]


def info(text: bytes) -> dict[str, str]:
    """A section of Redis's INFO."""
    lines = text.decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _host_and_port(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    return parts.hostname or "127.0.0.1", parts.port or 6379
