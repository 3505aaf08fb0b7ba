"""The tokens of an upstream, read by a task of their own: the answer can send signs of life."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

import anyio

#: Tokens that are read ahead of the client.
_AHEAD = 64

#: The event loop itself holds its tasks weakly.
_tasks: set[asyncio.Task[None]] = set()


class End:
    """The end of an answer: a whole one, unless `error` says why it is not."""

    __slots__ = ("error",)

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error


class Reading:
    """Tokens, and last their `End`."""

    def __init__(self, tokens: AsyncGenerator[str, None]) -> None:
        self._tokens = tokens
        self._queue: asyncio.Queue[str | End] = asyncio.Queue(_AHEAD)

    async def next(self, patience: float) -> str | End:
        """Raises TimeoutError where nothing comes for `patience` seconds; nothing is lost then."""
        if not self._queue.empty():
            return self._queue.get_nowait()
        async with asyncio.timeout(patience):
            return await self._queue.get()

    async def run(self, scope: anyio.CancelScope) -> None:
        """Reads until the end, or until `scope` is cancelled."""
        with scope:
            end = End()
            try:
                async with aclosing(self._tokens) as tokens:
                    async for token in tokens:
                        await self._queue.put(token)
            except Exception as error:
                end = End(error)
            except asyncio.CancelledError:
                if scope.cancel_called:
                    raise
                end = End(RuntimeError("the upstream awaited a task that was cancelled"))
            await self._queue.put(end)


@asynccontextmanager
async def reading(tokens: AsyncGenerator[str, None]) -> AsyncIterator[Reading]:
    """Reads `tokens` meanwhile; they are closed before this ends.

    The reader ends by a scope of anyio, not by `Task.cancel`. httpcore closes connections under
    anyio's shield, which does not hold a bare cancellation: one that comes while a connection is
    being closed leaves it open for ever. Nor can a second cancellation of the caller reach the
    reader.
    """
    read, scope = Reading(tokens), anyio.CancelScope()
    task = asyncio.create_task(read.run(scope))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    try:
        yield read
    finally:
        scope.cancel()
        await asyncio.wait({task})
