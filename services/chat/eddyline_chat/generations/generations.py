"""All answers that are made here, and the logs of those that are made anywhere."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from hashlib import blake2b
from typing import Any

from fastapi import Response

from eddyline.broadcast.formats import Format
from eddyline.errors import Gone, NotFound, StreamingError, Unavailable, UpstreamError
from eddyline.journal.cursor import EARLIEST, Cursor
from eddyline.produce.stream_feed import StreamFeed
from eddyline.produce.stream_feeds import StreamFeeds
from eddyline.service.admission import Permit
from eddyline.service.drain import Drain
from eddyline.store.base import NOTHING, Batch, Record, StreamConfig, StreamEnded, StreamInfo
from eddyline.store.stores import RunnableStore
from eddyline.tasks import background
from eddyline_chat.generations import records
from eddyline_chat.generations.generation import Cancelled, Generation, OnDisconnect
from eddyline_chat.openai.chunk import Chunk
from eddyline_chat.settings import ChatSettings
from eddyline_chat.upstreams.base import Upstream

_log = logging.getLogger(__name__)

#: Seconds between two looks at the lease of an answer that another process makes.
_LOOK = 1.0

#: Seconds before the drain's deadline at which answers that still run get their error.
_BEFORE_DEADLINE = 0.5

#: Seconds between two looks at the log of an answer, while the process stops.
_DRAINING = 0.1

#: Bytes of the ids of a conversation's answers, of which the last one counts.
_CHAT_BYTES = 4096

#: Bytes of a page of a log.
_PAGE = 1024 * 1024

_LOST = UpstreamError("the process that made the answer is gone: the answer is not whole")


class Generations:
    """Answers by their ids; use it within `run()`.

    The log of an answer is a stream of the store. Beside it stands its lease, a stream that expires
    unless the process that makes the answer renews it: once it is gone, any process that has a
    reader ends the log with an error.
    """

    def __init__(
        self, store: RunnableStore, feeds: StreamFeeds, drain: Drain, settings: ChatSettings
    ) -> None:
        self._store = store
        self._feeds = feeds
        self._drain = drain
        self._lease = settings.lease
        self._times = (settings.grace, settings.orphan)
        self._config = StreamConfig(
            records.MEDIA_TYPE, settings.answer_ttl, settings.answer_max_bytes
        )
        self._made: dict[asyncio.Task[None], Generation] = {}
        self._watched: dict[str, asyncio.Task[None]] = {}

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Answers that still run at the end are ended, and their readers are told."""
        async with self._store.run(), self._feeds.run(), background(self._renew()):
            self._drain.on_begin(self, self._on_drain)
            try:
                yield
            finally:
                self._drain.forget(self)
                self._end_all()
                watched = list(self._watched.values())
                for task in watched:
                    task.cancel()
                await asyncio.gather(*self._made, *watched, return_exceptions=True)

    async def begin(
        self,
        owner: str | None,
        id: str,
        upstream: Upstream,
        payload: Callable[[Chunk], bytes],
        on_disconnect: OnDisconnect,
    ) -> Generation | None:
        """The answer under `id`, to be asked; None where there is one already. Raises Unavailable
        where the store is away.
        """
        key, lease = _key(owner, id), _lease(owner, id)
        await self._store.create(lease, StreamConfig(records.MEDIA_TYPE, self._lease))
        written = await self._store.create(key, self._config)
        if not written.new:
            return None
        head = written.info.head
        made = Generation(
            self._store, key, lease, head, upstream, payload, on_disconnect, self._times
        )
        task = asyncio.create_task(self._make(made, head.epoch))
        self._made[task] = made
        self._drain.opened()
        task.add_done_callback(self._ended)
        return made

    async def state(self, owner: str | None, id: str) -> dict[str, Any]:
        """The status of an answer, its text so far, and its usage. Raises NotFound."""
        await self._find(owner, id)
        found, info = await self._read(_key(owner, id))
        status = {"complete": "completed", None: "in_progress"}.get(info.end, info.end)
        return {"id": id, "object": "generation", "status": status, **records.told(found)}

    async def note_chat(self, owner: str | None, chat: str, id: str) -> None:
        """The newest answer of a conversation is `id`."""
        config = StreamConfig(records.MEDIA_TYPE, self._config.ttl, _CHAT_BYTES, trim=True)
        key = _chat(owner, chat)
        await self._store.create(key, config)
        await self._store.append(key, Batch([id.encode()]))

    async def running_in_chat(self, owner: str | None, chat: str) -> str | None:
        """The answer of a conversation that is being made; None where there is none."""
        try:
            found, _ = await self._read(_chat(owner, chat))
            id = found[-1].data.decode() if found else ""
            info = await self._find(owner, id)
        except NotFound:
            return None
        return id if info.end is None else None

    async def values(self, owner: str | None, id: str) -> list[dict[str, Any] | str]:
        """The records so far, as objects; last the reason of the end, where it has come."""
        await self._find(owner, id)
        found, info = await self._read(_key(owner, id))
        values: list[dict[str, Any] | str] = records.values(found)
        return values if info.end is None else [*values, info.end]

    async def follow(
        self, owner: str | None, id: str, heartbeat: float
    ) -> AsyncIterator[dict[str, Any] | str | None]:
        """The records as objects, from the first one on, and last the reason of the end. None after
        each `heartbeat` seconds of silence.
        """
        key = _key(owner, id)
        info = await self._find(owner, id)
        feed = await self._feeds.hold(key, info.life)
        try:
            if info.end is None:
                self._watch(owner, id, feed)
            after: Cursor | None = None
            while True:
                page = await self._store.read(key, after, _PAGE)
                for value in records.values(page.records):
                    yield value
                after = page.records[-1].cursor if page.records else after
                if page.info.end is not None and after == page.info.head:
                    yield page.info.end
                    return
                if page.records:
                    continue
                if self._drain.draining:
                    # An answer may finish until the deadline, which cuts its readers off.
                    await asyncio.sleep(_DRAINING)
                    continue
                try:
                    async with asyncio.timeout(heartbeat):
                        await feed.changed(page.info.head)
                except TimeoutError:
                    yield None
        finally:
            feed.release()

    async def _read(self, key: str) -> tuple[list[Record], StreamInfo]:
        """All records of a log."""
        found: list[Record] = []
        while True:
            page = await self._store.read(key, found[-1].cursor if found else None, _PAGE)
            found += page.records
            if not page.records or found[-1].cursor == page.info.head:
                return found, page.info

    async def cancel(self, owner: str | None, id: str) -> dict[str, Any]:
        """Ends an answer, in whichever process it is made; its state. Raises NotFound."""
        await self._find(owner, id)
        last = records.failure(Cancelled("the answer was cancelled"))
        with suppress(StreamEnded):
            await self._store.append(_key(owner, id), Batch([last], "cancelled"))
        return await self.state(owner, id)

    async def events(
        self,
        owner: str | None,
        id: str,
        after: Cursor | None,
        permit: Permit,
        expires: float | None,
        headers: dict[str, str],
        format: Format = records.EVENTS,
    ) -> Response:
        """The chunks after `after`, each with its id, until the answer has ended; 204 where there
        are no more. Raises NotFound; Gone where the answer, or the place, is no longer there.
        """
        key = _key(owner, id)
        info = await self._find(owner, id, resuming=after is not None)
        if after is not None and (await self._store.read(key, after, 1)).gap is not None:
            raise Gone(f"{after} is no place in this answer: start anew without an id")
        if info.end is not None and after == info.head:
            return Response(status_code=204)
        feed = await self._feeds.hold(key, info.life)
        if info.end is None:
            with suppress(StreamingError):
                await self._store.append(_lease(owner, id), Batch([b"reader"]))
            self._watch(owner, id, feed)
        start = EARLIEST if after is None else after
        return feed.response(permit, start, format, expires=expires, headers=headers)

    async def whole(self, owner: str | None, id: str) -> bytes:
        """The one record of an answer in one piece, once it is there. Raises UpstreamError where it
        failed.
        """
        key = _key(owner, id)
        info = await self._find(owner, id)
        feed = await self._feeds.hold(key, info.life)
        try:
            self._watch(owner, id, feed)
            while not feed.finished and not self._drain.draining:
                await feed.changed(feed.head)
            page = await self._store.read(key, None, _PAGE)
        finally:
            feed.release()
        if page.info.end != "complete":
            raise UpstreamError("the answer that this request joins was not made whole")
        return page.records[0].data

    async def _find(self, owner: str | None, id: str, *, resuming: bool = False) -> StreamInfo:
        key = _key(owner, id)
        try:
            info = (await self._store.read(key, None, 0)).info
            if info.end is None and await self._is_lost(owner, id):
                info = (await self._store.read(key, None, 0)).info
        except NotFound:
            if resuming:
                raise Gone(f"the answer {id[:80]!r} has expired: ask again") from None
            text = f"there is no answer {id[:80]!r}: `X-Generation-Id` has the ids of answers"
            raise NotFound(text) from None
        return info

    async def _is_lost(self, owner: str | None, id: str) -> bool:
        """Ends the log of an answer whose process is gone."""
        try:
            await self._store.read(_lease(owner, id), None, 0)
        except NotFound:
            with suppress(StreamEnded, NotFound):
                await self._store.append(_key(owner, id), Batch([records.failure(_LOST)], "failed"))
            return True
        return False

    # The answers of other processes.

    def _watch(self, owner: str | None, id: str, feed: StreamFeed) -> None:
        key = _key(owner, id)
        if key not in self._watched and all(made.key != key for made in self._made.values()):
            task = self._watched[key] = asyncio.create_task(self._look(owner, id, feed))
            task.add_done_callback(lambda _: self._watched.pop(key, None))

    async def _look(self, owner: str | None, id: str, feed: StreamFeed) -> None:
        while not feed.finished and feed.holders:
            with suppress(Unavailable):
                if await self._is_lost(owner, id):
                    return
            await asyncio.sleep(_LOOK)

    # The answers that are made here.

    async def _make(self, made: Generation, epoch: str) -> None:
        feed = await self._feeds.hold(made.key, epoch)
        feed.on_end = made.closed  # another process may cancel it
        try:
            await made.run()
        finally:
            feed.on_end = lambda: None
            feed.release()
            with suppress(StreamingError):
                await self._store.delete(made.lease)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._made[task]
        self._drain.closed()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("the log of an answer failed: %r", error, exc_info=error)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._lease / 3)
            leases = [self._store.append(made.lease, NOTHING) for made in self._made.values()]
            for error in await asyncio.gather(*leases, return_exceptions=True):
                if isinstance(error, Exception):
                    _log.warning("the lease of an answer was not renewed: %r", error)

    def _on_drain(self, window: float) -> None:
        left = window - min(_BEFORE_DEADLINE, window / 2)
        asyncio.get_running_loop().call_later(left, self._end_all)

    def _end_all(self) -> None:
        for made in list(self._made.values()):
            made.end(Unavailable("this process is stopping: the answer is not whole", 2.0))


def id_of(owner: str | None, key: str, body: bytes) -> str:
    """The id of the answer to a request with an `Idempotency-Key`: the same for its repeats."""
    digest = blake2b(f"{owner}\0{key}\0".encode() + body, digest_size=16)
    return f"gen-{digest.hexdigest()}"


def _key(owner: str | None, id: str) -> str:
    return f"answers/{owner or ''}/{id}"


def _chat(owner: str | None, chat: str) -> str:
    return f"chats/{owner or ''}/{chat}"


def _lease(owner: str | None, id: str) -> str:
    return f"leases/{owner or ''}/{id}"
