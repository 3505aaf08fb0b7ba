"""One generator on its way into its stream: it outlives the connection that started it."""

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from eddyline.errors import NotFound, Overloaded
from eddyline.journal.cursor import Cursor
from eddyline.produce.stream_feeds import StreamFeeds
from eddyline.produce.yielded import EndReason, encode, ending, safe_detail
from eddyline.responses.threaded import ThreadedIterator
from eddyline.store.base import Batch, StaleWriter, StreamEnded, StreamFull, StreamStore
from eddyline.threads import PRODUCERS, source_of

logger: logging.Logger = logging.getLogger(__name__)

Source = AsyncIterable[Any] | Iterable[Any]


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a stream ends; `detail` is a text for clients."""

    reason: EndReason
    detail: str = ""


class _Ended(Exception):
    """The store takes no more: `ending` is the reason; None where another has ended the stream."""

    def __init__(self, ending: Ending | None) -> None:
        self.ending = ending


class GeneratorRun:
    """Appends all that a generator yields to its stream, and then the reason of its end.

    The generator is paced by the store alone: neither by a slow reader nor by the absence of any.
    """

    def __init__(
        self, store: StreamStore, feeds: StreamFeeds, key: str, head: Cursor, source: Source
    ) -> None:
        self._store = store
        self._feeds = feeds
        self._key = key
        self._head = head
        self._source = source
        self._stopped = False
        self._ending: Ending | None = None
        # While the generator runs: cancelled elsewhere, the task could not say how it ended.
        self._carrying: asyncio.Task[Any] | None = None

    async def run(self, deadline: float) -> None:
        """Returns when the stream has ended and the generator is closed. `deadline`: seconds."""
        values = as_async(self._source)
        try:
            # Followed, it does not expire while the generator is silent, and an end that another
            # process gives to the stream is heard of.
            feed = await self._feeds.hold(self._key, self._head.epoch)
            feed.on_end = lambda: self.stop(None)
            try:
                if feed.finished:
                    self.stop(None)
                await self._finish(await self._carry(values, deadline))
            finally:
                feed.release()
        finally:
            # Here, not in the garbage collector's time: it may hold a file or a connection.
            await close(values)

    def stop(self, ending: Ending | None) -> None:
        """Ends the generator, once; None: another has ended the stream already."""
        if not self._stopped:
            self._stopped = True
            self._ending = ending
            if self._carrying is not None:
                self._carrying.cancel()

    async def _carry(self, values: AsyncIterator[Any], deadline: float) -> Ending | None:
        """The reason why the stream ends; None where another has ended it."""
        if self._stopped:
            return self._ending
        self._carrying = asyncio.current_task()
        late = Ending("deadline", f"the generator ran for {deadline:g} s, its longest time")
        # Not `asyncio.timeout`: a generator that catches its cancellation would never end.
        timer = asyncio.get_running_loop().call_later(deadline, self.stop, late)
        try:
            async for value in values:
                await self._append(value)
                # A generator that never waits must not keep others from their turn.
                await asyncio.sleep(0)
        except _Ended as ended:
            return ended.ending
        except (Exception, asyncio.CancelledError) as error:
            return self._ending if self._stopped else self._failed(error)
        finally:
            timer.cancel()
            self._carrying = None
        # A generator that returns because it was stopped has not completed.
        return self._ending if self._stopped else Ending("complete")

    async def _append(self, value: Any) -> None:
        if self._stopped:
            # The generator was told by a CancelledError, which it has caught.
            raise _Ended(self._ending)
        batch = Batch([encode(value)], after=self._head)
        try:
            written = await self._store.append(self._key, batch)
        except (StreamFull, Overloaded) as error:
            # The oldest values are not dropped for the newest: half a body is no use to a client,
            # and the others would have another half.
            raise _Ended(Ending("limit", error.detail)) from error
        except (StreamEnded, StaleWriter, NotFound) as error:
            raise _Ended(None) from error
        self._head = written.info.head

    async def _finish(self, end: Ending | None) -> None:
        if end is None:
            return
        self._stopped = True
        last = Batch([ending(end.reason, end.detail)], end.reason, after=self._head)
        with suppress(StreamEnded, StaleWriter, NotFound):  # ended by another in this moment
            await self._store.append(self._key, last)

    def _failed(self, error: BaseException) -> Ending:
        logger.error("a generator failed: %r", error, exc_info=error, extra={"key": self._key})
        return Ending("failed", safe_detail(error))


def as_async(source: Source) -> AsyncIterator[Any]:
    """A blocking generator runs in threads, a step at a time."""
    if isinstance(source, AsyncIterable):
        return aiter(source)
    steps = iter(source)
    return ThreadedIterator(steps, PRODUCERS.lane(source_of(steps)))


async def close(source: object) -> None:
    """Closes a generator, whether it has begun or not."""
    if (aclose := getattr(source, "aclose", None)) is not None:
        await aclose()
    elif (close := getattr(source, "close", None)) is not None:
        close()
