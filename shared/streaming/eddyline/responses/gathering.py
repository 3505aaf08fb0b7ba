"""Small chunks of a blocking iterator: those that are made while the client is busy are joined."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from threading import Lock

from eddyline.responses.threaded import close_source
from eddyline.threads import Lane


class GatheringIterator:
    """Yields the chunks that `source` has made since the last time, as one; texts as UTF-8.

    A step in a thread goes on until `ahead` bytes wait for the caller, or another step for the
    thread: for each line of a table a step of its own would cost more than the line. No chunk waits
    for the one after it. `interrupt` makes a step that runs return early; it is called from the
    event loop.
    """

    def __init__(
        self,
        source: Iterator[bytes | str],
        ahead: int,
        lane: Lane,
        interrupt: Callable[[], None] | None = None,
    ) -> None:
        self._source = source
        self._ahead = ahead
        self._lane = lane
        self._interrupt = interrupt
        self._loop = asyncio.get_running_loop()
        #: Its result: whether the source has ended.
        self._step: Future[bool] | None = None
        self._closing = False
        self._wake = asyncio.Event()
        self._told = False
        self._lock = Lock()
        self._made: list[bytes] = []
        self._size = 0

    def __aiter__(self) -> "GatheringIterator":
        return self

    async def __anext__(self) -> bytes:
        step = self._step or self._start()
        while not self._made and not step.done():
            await self._wake.wait()
            self._wake.clear()
            # Before the next look: a chunk that is made after it is told of.
            self._told = False
        # In this order: a step that is done makes nothing more.
        done = step.done()
        chunks = self._take()
        if done and not chunks and step.result():
            raise StopAsyncIteration
        if done and step.exception() is None and not step.result():
            self._start()
        return b"".join(chunks)

    async def aclose(self) -> None:
        """Waits for the step that runs, then closes the source in a thread."""
        self._closing = True
        await close_source(self._source, self._step, self._lane, self._interrupt)

    def _start(self) -> Future[bool]:
        self._step = self._lane.submit(self._make)
        self._step.add_done_callback(self._notify)
        return self._step

    def _make(self) -> bool:
        """One step, in a thread; returns whether the source has ended."""
        while not self._closing:
            chunk = next(self._source, None)
            if chunk is None:
                return True
            data = chunk.encode() if isinstance(chunk, str) else chunk
            with self._lock:
                self._made.append(data)
                self._size += len(data)
                if self._size >= self._ahead or self._lane.is_contended:
                    return False
            self._notify()
        return False

    def _notify(self, _: object = None) -> None:
        # One call for all chunks that are taken together: it costs more than making most chunks.
        if not self._told and not self._loop.is_closed():
            self._told = True
            self._loop.call_soon_threadsafe(self._wake.set)

    def _take(self) -> list[bytes]:
        with self._lock:
            chunks, self._made = self._made, []
            self._size = 0
        return chunks
