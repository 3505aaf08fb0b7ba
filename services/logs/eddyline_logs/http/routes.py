"""HTTP in, HTTP out: the sources, and one of them followed."""

import asyncio
import os
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from eddyline.auth.authenticator import Principal
from eddyline.broadcast.broadcast import Broadcast, Topics
from eddyline.errors import NotFound
from eddyline.service.app import Context
from eddyline.wire import sse
from eddyline_logs.reading import backlog
from eddyline_logs.reading.tail import Mark
from eddyline_logs.reading.tails import Tails
from eddyline_logs.settings import LogsSettings
from eddyline_logs.sources import cri
from eddyline_logs.sources.base import Source
from eddyline_logs.sources.files import Sources

_EVENTS = (
    'Events `{"line": ..., "source": ...}`, with `"truncated": true` where a line was too long, '
    "and with `time` and `stream` where it is a container's. "
    "`event: waiting`: there is no file yet; `unreadable`; `rotated`; `truncated`: it begins anew."
)


def router(
    context: Context, settings: LogsSettings, broadcast: Broadcast, tails: Tails
) -> APIRouter:
    routes = APIRouter()
    sources = Sources.parse(settings.sources)

    @routes.get("/logs")
    async def listing(
        principal: Principal = Depends(context.authenticator.principal),
    ) -> dict[str, Any]:
        """The sources whose files are there, as far as the principal may read them."""
        found = await asyncio.to_thread(sources.list)
        allowed = [source.id for source in found if principal.allows("logs", "read", source.id)]
        return {"sources": [{"source": id, "url": f"/logs/{quote(id)}"} for id in allowed]}

    @routes.get(
        "/logs/{source:path}",
        response_class=Response,
        responses={200: {"content": {sse.EVENT_STREAM: {"schema": {"type": "string"}}}}},
        description=_EVENTS,
    )
    async def log(
        request: Request,
        source: str,
        lines: Annotated[int, Query(ge=0, le=settings.backlog_lines)] = 10,
        follow: bool = True,
        after: Annotated[str | None, Query(description="an event id, or `earliest`")] = None,
        last_event_id: Annotated[str | None, Header()] = None,
        principal: Principal = Depends(context.authenticator.principal),
    ) -> Response:
        principal.require("logs", "read", source)
        found = sources.find(source)
        there = found.exists()
        if not follow:
            if not there:
                raise NotFound(f"{source[:200]!r} has no file yet: follow=true waits for it")
            frames = await last(found, _all_of(found), lines)
            return Response(frames, headers=sse.STREAM_HEADERS, media_type=sse.EVENT_STREAM)
        # The header is newer: an EventSource that reconnects repeats its URL.
        cursor = last_event_id or after
        permit = context.limits.for_request(request, principal)
        try:
            tail = await tails.get(found)
            first = tail.announcement()
            if cursor is None:
                # These two without an await between them: lines before the mark are in the file,
                # lines after it come after this cursor.
                mark, cursor = tail.mark(), str(broadcast.head)
                first += await last(found, mark, lines) + sse.cursor_frame(cursor)
            topic = Topics(frozenset({found.id}))
            start = await broadcast.locate(cursor, topic)
            return broadcast.response(
                permit, topic, after=start, expires=principal.expires, first=first
            )
        except BaseException:
            permit.release()
            raise

    async def last(source: Source, mark: Mark | None, count: int) -> bytes:
        if mark is None:
            return b""
        try:
            return await asyncio.to_thread(_frames, source, mark, count, settings)
        finally:
            # Here and not in the thread, which never starts where the client leaves first.
            os.close(mark.file)

    return routes


def _frames(source: Source, mark: Mark, count: int, settings: LogsSettings) -> bytes:
    last_lines = cri.last_lines if source.cri else backlog.last_lines
    lines = last_lines(
        mark.file,
        mark.end,
        count,
        max_bytes=settings.backlog_bytes,
        line_limit=settings.line_limit,
    )
    return b"".join(sse.encode(line.json(source.id)) for line in lines)


def _all_of(source: Source) -> Mark:
    try:
        file = source.open()
    except OSError:
        raise NotFound(f"{source.id[:200]!r} cannot be read now") from None
    return Mark(file, os.fstat(file).st_size)
