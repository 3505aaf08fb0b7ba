"""Work that runs beside something else and ends with it: tasks, pauses, and writes that wait."""

import asyncio
import itertools
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Hashable
from contextlib import asynccontextmanager, suppress
from typing import Any, Generic, TypeVar

from eddyline.errors import Unavailable

#: Seconds after which a `WriteBehind` asks a store again that was away.
RETRY = 1.0

_log = logging.getLogger("eddyline.tasks")

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@asynccontextmanager
async def background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs `work` meanwhile; at the end it is cancelled, and over before this goes on."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Backoff:
    """Pauses between attempts: doubled from `first` up to `most`, both in seconds.

    `jitter`: each pause is multiplied by a random factor between these two, so that processes that
    failed together do not try again together.
    """

    def __init__(self, first: float, most: float, jitter: tuple[float, float] = (0.5, 1.5)) -> None:
        self._first = min(first, most)
        self._most = most
        self._jitter = jitter
        self._pause = self._first

    def next(self) -> float:
        """Seconds to wait before the next attempt."""
        pause, self._pause = self._pause, min(2 * self._pause, self._most)
        return pause * random.uniform(*self._jitter)

    def reset(self) -> None:
        """Starts anew, after an attempt that succeeded."""
        self._pause = self._first


class WriteBehind(Generic[Key, Value]):
    """Changes that a store does not have yet, by key; a background task writes them.

    `write` gets up to `together` of them at once, the oldest first. Where it raises Unavailable,
    it gets the same ones again, before younger ones. `linger`: seconds for which changes are
    collected before they are written. `patience`: seconds for which the end of `run` goes on
    asking a store that is away.
    """

    def __init__(
        self,
        write: Callable[[dict[Key, Value]], Awaitable[None]],
        *,
        together: int,
        linger: float = 0.0,
        patience: float = 0.0,
    ) -> None:
        self._write = write
        self._together = together
        self._linger = linger
        self._patience = patience
        self._changes: dict[Key, Value] = {}
        self._changed = asyncio.Event()
        self._ending = asyncio.Event()
        self._gives_up_at = float("inf")

    def put(self, key: Key, value: Value) -> None:
        """Takes the place of a change of the same key that is not written yet."""
        self._changes[key] = value
        self._changed.set()

    def drop(self, key: Key) -> bool:
        """Forgets a change that is not being written yet; False where there is none."""
        return self._changes.pop(key, self) is not self

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Writes meanwhile; at the end it writes all that is left, without lingering."""
        work = asyncio.create_task(self._work())
        try:
            yield
        finally:
            self._gives_up_at = time.monotonic() + self._patience
            self._ending.set()
            self._changed.set()
            await work

    async def _work(self) -> None:
        while True:
            await self._changed.wait()
            if not self._ending.is_set():
                await self._wait_for_end(self._linger)
            self._changed.clear()
            while self._changes:
                if await self._write_some():
                    continue
                if time.monotonic() >= self._gives_up_at:
                    return
                await self._wait_for_end(RETRY)
            if self._ending.is_set():
                return

    async def _wait_for_end(self, seconds: float) -> None:
        """Wait for so long at most; once the end has come, for as long as there is patience."""
        if self._ending.is_set():
            await asyncio.sleep(min(seconds, self._gives_up_at - time.monotonic()))
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ending.wait()

    async def _write_some(self) -> bool:
        """Whether the store was there."""
        batch = dict(itertools.islice(self._changes.items(), self._together))
        for key in batch:
            del self._changes[key]
        try:
            await self._write(batch)
        except Unavailable:
            self._changes = batch | self._changes
            return False
        except Exception:
            _log.exception("changes could not be written, and are lost: %d", len(batch))
        return True
