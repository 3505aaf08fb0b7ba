"""One answer that is being made: it goes to its client, and into its log."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Literal

import orjson

from eddyline.errors import NotFound, StreamingError, Unavailable, UpstreamError
from eddyline.journal.cursor import Cursor
from eddyline.store.base import StreamStore
from eddyline_chat.generations import records
from eddyline_chat.generations.log import Log
from eddyline_chat.openai.chunk import Chunk
from eddyline_chat.upstreams.base import Exchange, Question, Receiver, Upstream

_log = logging.getLogger(__name__)

#: The fate of an answer whose client has left.
OnDisconnect = Literal["cancel", "continue"]


class Cancelled(UpstreamError):
    """The answer was cancelled on purpose."""

    code = "cancelled"


_UNASKED = UpstreamError("the answer was not begun")


class Generation:
    """The upstream of one `Answer`: asks the real one, and writes its chunks down on the way.

    The client's leaving ends it after `grace` seconds, unless a reader has joined meanwhile, or it
    is to go on: then after `orphan` seconds. `payload` makes the record of a chunk.
    """

    def __init__(
        self,
        store: StreamStore,
        key: str,
        lease: str,
        head: Cursor,
        upstream: Upstream,
        payload: Callable[[Chunk], bytes],
        on_disconnect: OnDisconnect,
        times: tuple[float, float],
    ) -> None:
        self.key = key
        self.lease = lease
        self._store = store
        self._upstream = upstream
        self._payload = payload
        self._goes_on = on_disconnect == "continue"
        self._grace, self._orphan = times
        self._receiver: Receiver | None = None
        self._exchange: Exchange | None = None
        self._begun = False
        self._holds: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = Log(
            store,
            key,
            head,
            on_full=lambda: self._hold("log"),
            on_room=lambda: self._release("log"),
            on_closed=self.closed,
        )

    async def run(self) -> None:
        """Writes the log; returns when it has its end, or takes no more."""
        await self._log.run()

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Ends the log of an answer whose question did not even reach the upstream."""
        try:
            yield
        except BaseException:
            if not self._begun:
                self._log.end("failed", [records.failure(_UNASKED), records.DONE])
            raise

    def note(self, record: dict[str, Any]) -> None:
        """A record of ours before those of the upstream."""
        self._log.add([orjson.dumps(record)])

    # The upstream of an answer.

    def ask(self, question: Question, receiver: Receiver) -> "Generation":
        self._receiver = receiver
        self._exchange = self._upstream.ask(question, self)
        self._begun = True
        return self

    def pause(self) -> None:
        self._hold("client")

    def resume(self) -> None:
        self._release("client")

    def close(self) -> None:
        """The client has left."""
        self._receiver = None
        if self._exchange is None:
            return
        self._release("client")
        loop = asyncio.get_running_loop()
        if self._goes_on:
            self._timer = loop.call_later(self._orphan, self._give_up)
        else:
            self._timer = loop.call_later(
                self._grace, lambda: self._start(self._look_for_readers())
            )

    # The receiver of the upstream.

    def on_chunks(self, chunks: Sequence[Chunk]) -> None:
        self._log.add([self._payload(chunk) for chunk in chunks])
        if self._receiver is not None:
            self._receiver.on_chunks(chunks)

    def on_end(self, error: StreamingError | None, chunks: Sequence[Chunk] = ()) -> None:
        receiver = self._stop()
        written = [self._payload(chunk) for chunk in chunks]
        if error is None:
            self._log.end("complete", [*written, records.DONE])
        else:
            reason = "cancelled" if isinstance(error, Cancelled) else "failed"
            self._log.end(reason, [*written, records.failure(error)])
        if receiver is not None:
            receiver.on_end(error, chunks)

    # The end.

    def end(self, error: StreamingError) -> None:
        """Ends the answer at once, for its client and all readers."""
        exchange = self._exchange
        if exchange is not None:
            exchange.close()
            self.on_end(error)

    def closed(self) -> None:
        """The log takes no more: another process has ended it, or the store is away."""
        self._start(self._learn_the_end())

    async def _learn_the_end(self) -> None:
        reason: str | None = "unknown"
        with suppress(NotFound, Unavailable):
            reason = (await self._store.read(self.key, None, 0)).info.end
        if reason == "cancelled":
            self.end(Cancelled("the answer was cancelled"))
        elif self._receiver is None:
            self._give_up()  # nobody is there, and nobody can come
        else:
            _log.warning("an answer goes on without its log: it ended as %s", reason)

    async def _look_for_readers(self) -> None:
        """A reader that joins writes a record into the lease."""
        with suppress(NotFound, Unavailable):
            if (await self._store.read(self.lease, None, 0)).info.head.sequence:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(self._orphan, self._give_up)
                return
        self._give_up()

    def _give_up(self) -> None:
        self.end(Cancelled("the client left"))

    def _stop(self) -> Receiver | None:
        receiver, self._receiver, self._exchange = self._receiver, None, None
        if self._timer is not None:
            self._timer.cancel()
        return receiver

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _hold(self, holder: str) -> None:
        self._holds.add(holder)
        if self._exchange is not None:
            self._exchange.pause()

    def _release(self, holder: str) -> None:
        self._holds.discard(holder)
        if self._exchange is not None and not self._holds:
            self._exchange.resume()
