"""A blocking iterator, awaited: one step at a time in a thread.

A slow client holds no thread: between two steps there is none.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from eddyline.threads import Lane

T = TypeVar("T")

#: A step without a value. None cannot say it, because a source may yield None.
_END: Any = object()


class ThreadedIterator(Generic[T]):
    """Steps through `source`. While the caller is busy with a chunk the next one is made.

    `interrupt` makes a step that runs return early; it is called from the event loop.
    """

    def __init__(
        self, source: Iterator[T], lane: Lane, interrupt: Callable[[], None] | None = None
    ) -> None:
        self._source = source
        self._lane = lane
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
        """Waits for the step that runs, then closes the source in a thread."""
        step, self._step = self._step, None
        await close_source(self._source, step, self._lane, self._interrupt)

    def _start(self) -> Future[T]:
        self._step = self._lane.submit(next, self._source, _END)
        return self._step


async def close_source(
    source: Iterator[Any],
    step: Future[Any] | None,
    lane: Lane,
    interrupt: Callable[[], None] | None,
) -> None:
    """Closes an iterator in a thread, once the step that runs has ended."""

    async def close() -> None:
        if step is not None and not step.cancel():
            if interrupt is not None and not step.done():
                interrupt()
            # A generator that is closed while a thread runs it raises ValueError and stays open.
            await asyncio.gather(asyncio.wrap_future(step), return_exceptions=True)
        if (closing := getattr(source, "close", None)) is not None:
            await lane.run(closing)

    # A second cancellation would take the closing out of the queue.
    await asyncio.shield(asyncio.create_task(close()))
