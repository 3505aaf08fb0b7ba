"""A blocking iterator, awaited: one step at a time in a bounded pool of threads.

A slow client holds no thread: between two steps there is none.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Any, Generic, TypeVar

T = TypeVar("T")

#: More would only queue at the disk or the database; a step is short.
THREADS = min(32, (os.cpu_count() or 1) + 4)

#: A step without a value. None cannot say it, because a source may yield None.
_END: Any = object()


@cache
def pool() -> ThreadPoolExecutor:
    """The threads in which producers run; apart from asyncio's own, which name look-ups share."""
    return ThreadPoolExecutor(THREADS, thread_name_prefix="eddyline-pull")


class ThreadedIterator(Generic[T]):
    """Steps through `source`. While the caller is busy with a chunk the next one is made.

    `interrupt` makes a step that runs return early; it is called from the event loop.
    """

    def __init__(self, source: Iterator[T], interrupt: Callable[[], None] | None = None) -> None:
        self._source = source
        self._interrupt = interrupt
        self._step: Future[T] | None = None

    def __aiter__(self) -> "ThreadedIterator[T]":
        return self

    async def __anext__(self) -> T:
        chunk = await asyncio.wrap_future(self._step or self._start())
        if chunk is _END:
            raise StopAsyncIteration
        self._start()
        return chunk

    async def aclose(self) -> None:
        """Waits for the step that runs, then closes the source in the pool."""
        step, self._step = self._step, None
        await close_source(self._source, step, self._interrupt)

    def _start(self) -> Future[T]:
        self._step = pool().submit(next, self._source, _END)
        return self._step


async def close_source(
    source: Iterator[Any], step: Future[Any] | None, interrupt: Callable[[], None] | None
) -> None:
    """Closes an iterator in the pool, once the step that runs has ended."""

    async def close() -> None:
        if step is not None and not step.cancel():
            if interrupt is not None and not step.done():
                interrupt()
            # A generator that is closed while a thread runs it raises ValueError and stays open.
            await asyncio.gather(asyncio.wrap_future(step), return_exceptions=True)
        if (closing := getattr(source, "close", None)) is not None:
            await asyncio.wrap_future(pool().submit(closing))

    # A second cancellation would take the closing out of the pool's queue.
    await asyncio.shield(asyncio.create_task(close()))
