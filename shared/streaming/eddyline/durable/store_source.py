"""The streams of a store as durable streams: offsets are cursors, readers are subscribers."""

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import suppress

from starlette.responses import Response

from eddyline.durable.base import LiveRead, OffsetGone, Piece
from eddyline.durable.events import DurableEvents
from eddyline.durable.headers import SECURITY
from eddyline.durable.offset import from_cursor, to_cursor
from eddyline.durable.payload import Payload, payload_of
from eddyline.journal.base import Entry, Gap
from eddyline.journal.cursor import Cursor
from eddyline.produce.stream_feed import StreamFeed
from eddyline.produce.stream_feeds import StreamFeeds
from eddyline.store.base import Record, StreamInfo, StreamStore
from eddyline.wire import sse


def entry(record: Record) -> Entry:
    """A record as its subscribers get it: `DurableEvents` encodes it."""
    return Entry(record.cursor, "", record.data, False, time.time(), "")


class StoreSource:
    """One stream of a store, as `open_source` has found it."""

    def __init__(self, store: StreamStore, feeds: StreamFeeds, key: str, info: StreamInfo) -> None:
        self._store = store
        self._feeds = feeds
        self._key = key
        self._info = info

    @property
    def content_type(self) -> str:
        return self._info.config.content_type

    @property
    def headers(self) -> dict[str, str]:
        return lifetime(self._info)

    @property
    def payload(self) -> Payload:
        return payload_of(self.content_type)

    async def tail(self) -> Piece:
        info = (await self._store.read(self._key, None, 0)).info
        return _piece([], None, info)

    async def read(self, after: str | None, limit: int) -> Piece:
        cursor = None if after is None else to_cursor(after)
        chunk = await self._store.read(self._key, cursor, limit)
        if chunk.gap is not None:
            raise _no_offset(chunk.gap, after or "")
        return _piece(chunk.records, cursor, chunk.info)

    async def wait(self, after: str, seconds: float) -> None:
        feed = await self._hold()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await feed.changed(self._cursor(after))
        finally:
            feed.release()

    async def follow(self, after: str, read: LiveRead) -> Response:
        feed = await self._hold()
        format = DurableEvents(self.payload, read.cursor, feed)
        # Without a charset: clients compare the whole value.
        headers = {**sse.STREAM_HEADERS, **SECURITY, "Content-Type": sse.EVENT_STREAM}
        if self.payload.base64:
            headers["stream-sse-data-encoding"] = "base64"
        return feed.response(
            read.permit,
            self._cursor(after),
            format,
            at_head=format.at_head,
            expires=read.expires,
            # Jittered, so that clients that came together do not come back together.
            seconds=read.seconds * random.uniform(0.8, 1.0),
            headers=headers,
        )

    async def _hold(self) -> StreamFeed:
        return await self._feeds.hold(self._key, self._info.life)

    def _cursor(self, offset: str) -> Cursor:
        return to_cursor(offset) or self._info.oldest


def _piece(records: Sequence[Record], after: Cursor | None, info: StreamInfo) -> Piece:
    """Records that follow a cursor. Without any, the piece is the end of the stream."""
    start = after or (info.oldest if records else info.head)
    end = records[-1].cursor if records else info.head
    at_tail = end.sequence >= info.head.sequence
    return Piece(
        [record.data for record in records],
        from_cursor(start),
        from_cursor(end),
        at_tail,
        at_tail and info.end is not None,
    )


def _no_offset(gap: Gap, offset: str) -> OffsetGone:
    why = {
        "epoch": "was of a stream that is gone",
        "future": "is of records that the stream has lost, or never had",
    }.get(gap, "is no longer retained")
    return OffsetGone(f"the offset {offset} {why}: read from -1")


async def open_source(store: StreamStore, feeds: StreamFeeds, key: str) -> StoreSource:
    """Raises NotFound, StreamDeleted and Unavailable."""
    return StoreSource(store, feeds, key, (await store.read(key, None, 0)).info)


def lifetime(info: StreamInfo) -> dict[str, str]:
    """The headers that say for how long a stream is kept (section 5.5)."""
    ttl, at = info.config.ttl, info.config.expires_at
    headers = {} if ttl is None else {"Stream-TTL": f"{ttl:.0f}"}
    if at is not None:
        whole, milliseconds = divmod(round(at * 1000), 1000)
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
        headers["Stream-Expires-At"] = f"{moment}.{milliseconds:03d}Z"
    return headers
