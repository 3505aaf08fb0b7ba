"""Resumable `yield`: a generator runs once, and any number of clients join, leave and resume it."""

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import asynccontextmanager

from starlette.requests import Request
from starlette.responses import Response

from eddyline.errors import Gone, NotFound
from eddyline.journal.base import Gap
from eddyline.journal.cursor import EARLIEST, Cursor, Earliest
from eddyline.policy import ProducePolicy, StreamPolicy
from eddyline.produce.generator_run import Ending, GeneratorRun, Source, close
from eddyline.produce.stream_feeds import StreamFeeds
from eddyline.produce.yielded import MEDIA_TYPE, accepted, ending, entry
from eddyline.service.admission import Limits, Permit
from eddyline.service.drain import Drain
from eddyline.store.base import Batch, StreamConfig, StreamEnded, StreamInfo, StreamStore
from eddyline.telemetry.base import StreamMeter

#: Seconds that generators get to close when the app ends.
GRACE = 5.0

logger: logging.Logger = logging.getLogger(__name__)


class Producer:
    """Runs generators and serves the values that they yield; use it within `run()`.

    The streams are the store's: with a `MemoryStore` they die with the process. A generator always
    runs in the process that started it.
    """

    def __init__(
        self,
        store: StreamStore,
        policy: StreamPolicy,
        drain: Drain,
        meter: StreamMeter,
        kept: ProducePolicy = ProducePolicy(),
    ) -> None:
        self._store = store
        self._feeds = StreamFeeds(store, entry, meter, policy, drain)
        self._drain = drain
        self._limits = Limits(drain)
        self._kept = kept
        self._config = StreamConfig(MEDIA_TYPE, kept.ttl, kept.max_bytes)
        self._runs: dict[asyncio.Task[None], GeneratorRun] = {}

    @property
    def running(self) -> int:
        """Generators that run in this process."""
        return len(self._runs)

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Generators that still run at the end are ended, and readers are told."""
        async with self._feeds.run():
            # A generator may finish until the drain's window ends.
            self._drain.on_deadline(self, self._stop)
            try:
                yield
            finally:
                self._drain.forget(self)
                await self._close()

    async def response(
        self,
        request: Request,
        key: str,
        generator: Source | None = None,
        *,
        permit: Permit | None = None,
        expires: float | None = None,
    ) -> Response:
        """The values of the generator that runs, or ran, under `key`, from the first one on.

        The first request starts the generator, async or blocking; the requests that follow join it,
        and their generators are closed unused. A client that names the id of an event
        (`Last-Event-ID`, or `?after=`) resumes after it, and never starts a generator. Without a
        `generator` a client can only join. `expires`: when the stream must end, in unix seconds.

        Server-sent events; NDJSON where the client accepts only that. The last event is
        `eddyline.end`, or `eddyline.error` with the reason. A client that has seen it and comes
        back is told by 204 that there is no more, which silences an EventSource for good. A cursor
        of an earlier life of the key gets `eddyline.reset`, and then the whole stream.

        Raises BadCursor; Gone where a client resumes a stream that has expired; NotFound where
        there is nothing to join; Unavailable while the process stops; Overloaded where the store
        is full; TypeError for a key that is no text, or a generator function that was not called.
        """
        if not isinstance(key, str):
            raise TypeError(f"key={key!r}: must be a text, such as {str(key)!r}")
        if not isinstance(generator, AsyncIterable | Iterable | None):
            raise TypeError(f"{generator!r} is no generator: is it a function? Then call it")
        after = _cursor(request)
        with permit or self._limits.admit() as held:
            info = await self._find(request, key, generator, after)
            if info.end is not None and after == info.head:
                return Response(status_code=204)
            feed = await self._feeds.hold(key, info.life)
            format = accepted(request.headers.get("accept", ""))
            start: Cursor | Earliest = after or EARLIEST
            first = b""
            if after is not None and (gap := _gap(after, info.head)) is not None:
                first = format.reset(gap, info.oldest, info.oldest)
                start = EARLIEST
            return feed.response(held, start, format, first=first, expires=expires)

    async def cancel(self, key: str) -> bool:
        """Ends the stream under `key` with an error, and its generator in whichever process it
        runs. False where there is no such stream, or it has ended.
        """
        last = ending("cancelled", "the generator was cancelled")
        try:
            await self._store.append(key, Batch([last], "cancelled"))
        except (NotFound, StreamEnded):
            return False
        return True

    async def _find(
        self, request: Request, key: str, generator: Source | None, after: Cursor | None
    ) -> StreamInfo:
        """The stream under `key`; made, and its generator started, where the request may do so."""
        if generator is not None and after is None and request.method != "HEAD":
            written = await self._store.create(key, self._config)
            if written.new:
                self._start(key, written.info.head, generator)
            else:
                await close(generator)
            return written.info
        if generator is not None:
            await close(generator)
        try:
            return (await self._store.read(key, None, 0)).info
        except NotFound:
            if after is None:
                raise NotFound("nothing runs here: it was not started, or has expired") from None
            raise Gone(f"the stream of {after} has expired: start anew without an id") from None

    def _start(self, key: str, head: Cursor, generator: Source) -> None:
        run = GeneratorRun(self._store, self._feeds, key, head, generator)
        task = asyncio.create_task(run.run(self._kept.deadline))
        self._runs[task] = run
        self._drain.opened()
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._runs[task]
        self._drain.closed()
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a stream was left without its end: %r", error, exc_info=error)

    def _stop(self) -> None:
        for run in list(self._runs.values()):
            run.stop(Ending("stopped", "the server stopped before the generator was done"))

    async def _close(self) -> None:
        self._stop()
        if not self._runs:
            return
        _, slow = await asyncio.wait(self._runs, timeout=GRACE)
        for task in slow:
            task.cancel()
            logger.error("a generator did not stop within %g s", GRACE)


def _cursor(request: Request) -> Cursor | None:
    """The cursor that a client resumes from. Raises BadCursor."""
    # The header first: an EventSource that comes back repeats the URL of its first request.
    id = request.headers.get("last-event-id") or request.query_params.get("after")
    return Cursor.parse(id) if id and id != EARLIEST else None


def _gap(after: Cursor, head: Cursor) -> Gap | None:
    """Why a cursor is none of the stream's."""
    if after.epoch != head.epoch:
        return "epoch"
    return "future" if after.sequence > head.sequence else None
