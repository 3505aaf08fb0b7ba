"""Work that runs beside something else and ends with it, and pauses between attempts."""

import asyncio
import random
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


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
