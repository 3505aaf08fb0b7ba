"""Where the Redis primary of a hub is, and a connection to one run of it.

`redis://` and `rediss://` name the server, `redis+sentinel://host:port,host:port/NAME/DB` asks
Sentinels for it, `redis+cluster://host:port,host:port` the nodes of a cluster (`rediss+…`: TLS).
"""

import asyncio
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

import hiredis
from redis.asyncio.connection import Connection, SSLConnection, parse_url
from redis.asyncio.sentinel import Sentinel
from redis.exceptions import ConnectionError, MovedError, RedisError

from eddyline.errors import SettingsError

#: Seconds for a connection to be made and proven.
CONNECT_TIMEOUT = 3.0

#: Errors on the way to a server, or of one that is no primary (any more).
Failure: Final = (RedisError, OSError, TimeoutError, EOFError)

_SCHEMES = "redis://, rediss://, redis+sentinel://, redis+cluster:// or a rediss+ form of these"
_MAX_REDIRECTS = 5


class NotPrimary(ConnectionError):
    """The server that answered takes no writes for this key."""


class Primary:
    """The primary that has `key`, of a URL of any kind; raises SettingsError for a bad one."""

    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url)
        base, _, self._kind = parts.scheme.partition("+")
        if base not in ("redis", "rediss") or self._kind not in ("", "sentinel", "cluster"):
            raise SettingsError(f"the Redis URL's scheme {parts.scheme!r}: expected {_SCHEMES}")
        self._key = key
        self._class: type[Connection] = SSLConnection if base == "rediss" else Connection
        try:
            self._read(parts, base)
        except ValueError:
            # The error's own text would quote a part of a password that holds a slash.
            raise SettingsError(
                "the Redis URL is not one: expected SCHEME://user:password@host:port/DB, in which"
                " special characters of user and password are percent-encoded"
            ) from None
        if self._kind == "sentinel" and not self._name:
            raise SettingsError("redis+sentinel://: the path must name the primary: /NAME/DB")

    def _read(self, parts: SplitResult, base: str) -> None:
        """Hosts, database and options. redis-py's own parser knows of one host alone."""
        user, at, hosts = parts.netloc.rpartition("@")
        self._hosts = [_host_and_port(host) for host in hosts.split(",")]
        query = dict(parse_qsl(parts.query))
        of_sentinel = {
            k.removeprefix("sentinel_"): query.pop(k) for k in list(query) if "sentinel_" in k
        }
        self._name, _, database = parts.path.strip("/").partition("/")
        if self._kind != "sentinel":
            self._name, database = "", self._name
        rest = "&".join(f"{k}={v}" for k, v in query.items())
        host, port = self._hosts[0]
        options = dict(parse_url(f"{base}://{user}{at}{host}:{port}/{database}?{rest}"))
        for known in ("host", "port", "connection_class"):
            options.pop(known, None)
        # RESP2: with it, messages of a subscription are plain answers.
        self._options: dict[str, Any] = options | {"protocol": 2, "socket_timeout": None}
        tls = {"ssl": True} if base == "rediss" else {}
        timeout = {"socket_timeout": CONNECT_TIMEOUT / 2}
        self._sentinel_options: dict[str, Any] = timeout | tls | of_sentinel

    @property
    def database(self) -> int:
        """The number of the database; 0 where the URL names none."""
        return int(self._options.get("db", 0))

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
    """A connection to one run of one server, which `run_id` names. It never connects again.

    That is why no client of redis-py stands here: each of them connects again on its way, after the
    arguments of a command are made. A script that carries the run id of the server before would
    then pass for one of the new server, and sequences would be given twice: the tests of restarts
    without the tail and of Sentinel's failover fail. Besides, a call takes 2.5 times the CPU.
    """

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


def info(text: bytes) -> dict[str, str]:
    """A section of Redis's INFO."""
    lines = text.decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _host_and_port(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    return parts.hostname or "127.0.0.1", parts.port or 6379
