"""Calls to the primary of a hub: one after the other, over one connection that is replaced."""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from redis.exceptions import (
    AskError,
    ClusterDownError,
    ConnectionError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

from eddyline.errors import Unavailable
from eddyline.redis.primary import Failure, Primary, RedisConnection
from eddyline.tasks import Backoff

#: Seconds for a call with all its waiting.
CALL_TIMEOUT = 5.0

#: Seconds between two attempts to connect, doubled up to the second.
BACKOFF = (0.05, 1.0)

#: Error answers that say: not this server, or not now.
_ELSEWHERE = (AskError, ClusterDownError, OutOfMemoryError, ReadOnlyError, TryAgainError)
_NOT_NOW = {"MISCONF", "BUSY", "NOREPLICAS", "UNKILLABLE", "LOADING", "MASTERDOWN"}
#: Error answers to a command that this user may not give, or that was renamed: also in a script.
_NOT_ALLOWED = {"NOPERM", "NOAUTH", "WRONGPASS"}
_NOT_ALLOWED_TEXTS = ("unknown command", "can't run this command", "no permissions to run")

#: A piece of work on a connection.
_Work = Callable[[RedisConnection], Awaitable[Any]]

_log = logging.getLogger("eddyline.redis")


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


class RedisLink:
    """Calls one after the other over one connection; a failed one is replaced.

    While the primary is away, calls fail at once between two attempts to connect.
    """

    def __init__(self, primary: Primary) -> None:
        self.primary = primary
        self._connection: RedisConnection | None = None
        self._lock = asyncio.Lock()
        self._backoff = Backoff(*BACKOFF)
        self._not_before = 0.0
        self._calls: set[asyncio.Task[Any]] = set()

    @property
    def run_id(self) -> str | None:
        """The run of the server that this talks to; None while it talks to none."""
        return None if self._connection is None else self._connection.run_id

    async def call(self, *command: Any) -> Any:
        """The answer to one command; raises Unavailable, or RedisError where it is wrong."""
        return await self._run(lambda connection: connection.call(*command))

    async def run(
        self, script: Script, keys: Sequence[str], arguments: Sequence[Any], *, reads: bool = False
    ) -> Any:
        """The result of a script. Its first argument is the run id of the connection's server.

        `reads`: the script may run twice, and does where a connection breaks that was there before.
        """

        async def evaluate(connection: RedisConnection) -> Any:
            rest = (len(keys), *keys, connection.run_id, *arguments)
            try:
                return await connection.call("EVALSHA", script.digest, *rest)
            except NoScriptError:
                return await connection.call("EVAL", script.source, *rest)

        return await self._run(evaluate, reads)

    async def close(self) -> None:
        for task in self._calls:
            task.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        await self._drop()

    async def _run(self, work: _Work, again: bool = False) -> Any:
        # In a task of its own: the caller may be cancelled, but an answer that is half read would
        # be taken for that of the next call.
        task = asyncio.create_task(self._attempt(work, again))
        self._calls.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        self._calls.discard(task)
        if not task.cancelled():
            task.exception()  # asked for, so that asyncio does not log it if the caller has left

    async def _attempt(self, work: _Work, again: bool) -> Any:
        try:
            async with asyncio.timeout(CALL_TIMEOUT), self._lock:
                again = again and self._connection is not None
                try:
                    return await self._work(work)
                except ResponseError:
                    raise
                except Failure:
                    if not again:
                        raise
                # A new connection that breaks as well says that Redis is away.
                return await self._work(work)
        except ResponseError as error:
            if not _is_away(error):
                raise
            _log.warning("Redis does not take it now: %s", error)
            raise Unavailable("Redis does not take it now: nothing was done", 2.0) from error
        except Failure as error:
            _log.warning("Redis is away: %s: %s", type(error).__name__, error)
            raise Unavailable("Redis is away: nobody knows whether it was done", 2.0) from error

    async def _work(self, work: _Work) -> Any:
        """The result of a piece of work; a connection that may not be used again is dropped."""
        try:
            return await work(await self._connected())
        except ResponseError as error:
            if _is_away(error):
                await self._drop()
            raise
        except BaseException:
            await self._drop()
            raise

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
    """Whether an error answer says: not this server, not now, or not you."""
    if isinstance(error, (*_ELSEWHERE, NoPermissionError)):
        return True
    text = str(error)
    return _first_word(error) in _NOT_NOW | _NOT_ALLOWED or any(
        part in text for part in _NOT_ALLOWED_TEXTS
    )


def _first_word(error: Exception) -> str:
    return (str(error).split() or [type(error).__name__])[0]
