"""Topics as durable streams, read-only: `GET /events?topic=…&offset=…&live=…`.

An offset is a cursor of the journal, and an event a JSON message, as the envelope has it. The
protocol: https://github.com/durable-streams/durable-streams, PROTOCOL.md.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import orjson
from fastapi import Request, Response

from eddyline.broadcast.catch_up import page_for
from eddyline.broadcast.formats import message
from eddyline.broadcast.subscriber import Member
from eddyline.durable.base import LiveRead, OffsetGone, Piece
from eddyline.durable.events import DurableEvents, control_event
from eddyline.durable.headers import SECURITY
from eddyline.durable.offset import from_cursor, to_cursor
from eddyline.durable.payload import JSON
from eddyline.durable.reader import Admission, Reader, ReadPolicy
from eddyline.errors import BadRequest
from eddyline.journal.base import Entry, Gap, Page
from eddyline.journal.cursor import Cursor
from eddyline.wire import sse
from eddyline_events.http.access import Access
from eddyline_events.hub.hub import Hub
from eddyline_events.hub.selecting.selection import Selection

#: Entries that one request looks at, whether they are of its topics or not; and of one page.
SCAN = 8192
PAGE = 256


class TopicStreams:
    """Answers requests that name an offset. One for each hub and process."""

    def __init__(self, hub: Hub, access: Access) -> None:
        self._hub = hub
        self._access = access
        self._reader = Reader(ReadPolicy(public=False))

    async def respond(self, request: Request) -> Response:
        """Raises BadRequest, OffsetGone, Unauthorized, Forbidden, Unavailable and Overloaded."""
        hub = self._hub
        subscriber = await self._access.subscriber(request)
        if subscriber.redeemed is not None:
            raise BadRequest("ticket: is good for one stream, and offsets take many requests")
        principal = subscriber.principal
        selection = self._access.selection(principal, request.query_params.getlist("topic"))
        await hub.broadcast.locate(None, selection)  # is the journal reached?
        source = TopicSource(hub, selection, partial(hub.presence.member, principal, selection))
        if request.method == "HEAD":
            return await self._reader.head(source)
        permit = partial(hub.context.limits.for_request, request, principal)
        return await self._reader.get(request, source, Admission(permit, principal.expires))


class TopicEvents(DurableEvents):
    """Live reads of topics."""

    def entry(self, entry: Entry) -> bytes:
        return orjson.dumps(message(entry))

    def heartbeat(self, cursor: Cursor | None) -> bytes:
        """A quiet topic's offset moves on, so that it never ages out."""
        if cursor is None:
            return sse.COMMENT
        return control_event(from_cursor(cursor), self.cursor, at_tail=True)


class TopicSource:
    """The events of a selection. `member` makes an observer of a live read, for presence."""

    content_type = "application/json"
    headers: dict[str, str] = {}  # noqa: RUF012 - the protocol's type

    def __init__(self, hub: Hub, selection: Selection, member: Callable[[], Member]) -> None:
        self._hub = hub
        self._selection = selection
        self._member = member

    async def tail(self) -> Piece:
        head = from_cursor((await self._hub.journal.read(None, 0)).head)
        return Piece([], head, head, at_tail=True)

    async def read(self, after: str | None, limit: int) -> Piece:
        cursor = None if after is None else to_cursor(after)
        start, since, size, looked_at = cursor, 0, 0, 0
        parts: list[bytes] = []
        while True:
            page = await self._page(cursor, since)
            if cursor is None:
                start, since = page.oldest, page.head.sequence
            cursor = page.start(cursor)
            for entry in page.entries:
                cursor = entry.cursor
                looked_at += 1
                if self._selection.matches(entry):
                    parts.append(orjson.dumps(message(self._selection.shown(entry))))
                    size += len(parts[-1])
                    if size >= limit:
                        break
            at_tail = cursor.sequence >= page.head.sequence
            if at_tail:
                cursor = page.head  # the end of an epoch is the start of the next
            if at_tail or size >= limit or looked_at >= SCAN or not page.entries:
                return Piece(parts, from_cursor(start or cursor), from_cursor(cursor), at_tail)

    async def wait(self, after: str, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hub.broadcast.changed(self._selection, self._cursor(after))

    async def follow(self, after: str, read: LiveRead) -> Response:
        broadcast, cursor = self._hub.broadcast, self._cursor(after)
        format = TopicEvents(JSON, read.cursor, broadcast)
        at_head = cursor == broadcast.head
        return broadcast.response(
            read.permit,
            self._selection,
            after=cursor,
            expires=read.expires,
            first=control_event(after, read.cursor, at_tail=True) if at_head else b"",
            format=format,
            member=self._member(),
            # Jittered, so that clients that came together do not come back together.
            seconds=read.seconds * random.uniform(0.8, 1.0),
            headers={**sse.STREAM_HEADERS, **SECURITY, "Content-Type": sse.EVENT_STREAM},
        )

    async def _page(self, after: Cursor | None, since: int) -> Page:
        """Raises BadOffset, OffsetGone, and Unavailable."""
        read = partial(self._hub.journal.read, after, PAGE)
        page = await page_for(self._selection, read, since)
        gap = page.gap_of(self._selection.may_match)
        if gap is not None and after is not None:
            raise _no_offset(gap, after)
        return page

    def _cursor(self, offset: str) -> Cursor:
        """The cursor of an offset that `read` has given."""
        cursor = to_cursor(offset)
        assert cursor is not None
        return cursor


def _no_offset(gap: Gap, after: Cursor) -> OffsetGone:
    offset = from_cursor(after)
    why = {
        "epoch": "is of a journal that is gone",
        "future": "is of events that the journal has lost, or never had",
    }.get(gap, "has events after it that are gone")
    return OffsetGone(f"the offset {offset} {why}: read from -1")
