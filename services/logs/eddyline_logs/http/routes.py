"""HTTP of the logs service: the sources, and one of them followed."""

import os
from collections.abc import Callable
from contextlib import closing
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from eddyline.auth.principal import Principal
from eddyline.broadcast.broadcast import Broadcast, Topics
from eddyline.errors import NotFound
from eddyline.service.access import Caller
from eddyline.service.app import Context
from eddyline.telemetry.base import StreamMeter
from eddyline.threads import FILES
from eddyline.wire import sse
from eddyline_logs.http import openapi
from eddyline_logs.http.events import EVENTS, unknown
from eddyline_logs.http.openapi import LogList
from eddyline_logs.reading import backlog, cri
from eddyline_logs.reading.file_chain import identity
from eddyline_logs.reading.history import History
from eddyline_logs.reading.lines import Line
from eddyline_logs.reading.tail import ReadPosition
from eddyline_logs.reading.tails import Tails
from eddyline_logs.settings import LogsSettings
from eddyline_logs.sources.base import Source
from eddyline_logs.sources.registry import Sources

#: Lines that a client gets first, unless it says how many.
LINES = 10

#: Bytes that an unfinished last line is looked for in.
_REST = 1024 * 1024

_EVENTS = (
    'Events `{"line": ..., "source": ...}`, with `"truncated": true` where a line was too long, '
    "and with `time` and `stream` where it is a container's. "
    "`event: waiting`: there is no file; `unreadable`; `reading`: it is there again; `rotated`; "
    "`truncated`: it begins anew; `partial`: a line that has no end yet."
)


class LogsApi:
    """The routes of the service; each public method but `routes` is an endpoint."""

    def __init__(
        self,
        context: Context,
        settings: LogsSettings,
        sources: Sources,
        broadcast: Broadcast,
        meter: StreamMeter,
        tails: Tails,
        history: History,
    ) -> None:
        self._context = context
        self._settings = settings
        self._sources = sources
        self._broadcast = broadcast
        self._meter = meter
        self._tails = tails
        self._history = history

    def routes(self) -> APIRouter:
        routes = APIRouter()
        routes.add_api_route("/logs", self.list_logs)
        routes.add_api_route(
            "/logs/{source:path}",
            self.follow_log,
            dependencies=[Depends(lines_at_most(self._settings.backlog_lines))],
            response_class=Response,
            response_model=openapi.Data,
            responses=openapi.LINES,
            description=_EVENTS,
        )
        return routes

    async def list_logs(self, caller: Caller) -> LogList:
        """The sources whose files are there, as far as the caller may read them."""
        found = await FILES.lane("logs").run(self._sources.list)
        allowed = [source.id for source in found if caller.allows("logs", "read", source.id)]
        return {"sources": [{"source": id, "url": f"/logs/{quote(id)}"} for id in allowed]}

    async def follow_log(
        self,
        request: Request,
        source: str,
        caller: Caller,
        lines: int = LINES,
        follow: bool = True,
        after: Annotated[str | None, Query(description="an event id, or `earliest`")] = None,
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> Response:
        caller.require("logs", "read", source)
        found = self._sources.find(source)
        there = found.exists()
        if follow:
            # The header is newer: an EventSource that reconnects repeats its URL.
            return await self._follow(request, caller, found, lines, last_event_id or after)
        if not there:
            raise NotFound(f"{source[:200]!r} has no file yet: follow=true waits for it")
        frames = await self._last(found, _end_of(found), lines)
        return Response(frames, headers=sse.STREAM_HEADERS, media_type=sse.EVENT_STREAM)

    async def _follow(
        self, request: Request, caller: Principal, source: Source, lines: int, cursor: str | None
    ) -> Response:
        with self._context.limits.for_request(request, caller) as permit:
            tail = await self._tails.get(source)
            first = tail.announcement()
            start = await self._history.start(cursor, tail) if cursor else None
            if start is None or start == "unknown":
                # No await between these: lines before the position are in the file, lines after it
                # come after this cursor of the journal.
                position, place, head = tail.read_position(), str(tail.place), tail.head
                if start is None:
                    first += await self._last(source, position, lines) + sse.cursor_frame(place)
                else:
                    if position is not None:
                        os.close(position.file)
                    self._meter.reset("unknown")
                    first += unknown(place)
                start = head
            return self._broadcast.response(
                permit,
                Topics(frozenset({source.id})),
                after=start,
                expires=caller.expires,
                first=first,
                format=EVENTS,
                member=self._tails.reader(source),
            )

    async def _last(self, source: Source, position: ReadPosition | None, count: int) -> bytes:
        if position is None:
            return b""
        try:
            lane = FILES.lane(source.id)
            return await lane.run(_frames, source, position, count, self._settings)
        finally:
            # Here and not in the thread, which never starts where the client leaves first.
            os.close(position.file)


def lines_at_most(most: int) -> Callable[[int], None]:
    """A dependency that bounds the parameter `lines`: a method's annotation knows no setting."""

    def check(lines: Annotated[int, Query(ge=0, le=most)] = LINES) -> None:
        """FastAPI has checked it."""

    return check


def _frames(source: Source, position: ReadPosition, count: int, settings: LogsSettings) -> bytes:
    lines = _lines(source, position.file, position.end, count, settings)
    frames = [sse.encode(line.json(source.id)) for line in lines]
    start = backlog.line_start(position.file, position.end, settings.line_limit)
    rest = b"" if source.cri else backlog.read_range(position.file, start, _REST)
    if rest and count and b"\n" not in rest:
        line = Line(rest[: settings.line_limit], len(rest) > settings.line_limit, 0, partial=True)
        frames.append(sse.encode(line.json(source.id), event="partial"))
    return b"".join(frames)


def _lines(source: Source, file: int, end: int, count: int, settings: LogsSettings) -> list[Line]:
    """The last lines before an offset, of older files where the file has too few."""
    last_lines = cri.last_lines if source.cri else backlog.last_lines
    room, limit = settings.backlog_bytes, settings.line_limit
    lines = last_lines(file, end, count, max_bytes=room, line_limit=limit)
    current, reached = identity(os.fstat(file)), False
    with closing(source.chain(limit).files()) as files:
        while len(lines) < count and (room := room - end) > 0:
            # The older file follows the current one: the newest come first.
            older = next(files, None)
            if older is None:
                break
            try:
                end = os.fstat(older).st_size if reached else 0
                few = last_lines(older, end, count - len(lines), max_bytes=room, line_limit=limit)
                reached |= identity(os.fstat(older)) == current
            finally:
                os.close(older)
            lines = few + lines
    return lines


def _end_of(source: Source) -> ReadPosition:
    try:
        file = source.open()
    except OSError:
        raise NotFound(f"{source.id[:200]!r} cannot be read now") from None
    return ReadPosition(file, os.fstat(file).st_size)
