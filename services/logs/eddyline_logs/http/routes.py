"""HTTP of the logs service: the sources, and one of them followed."""

from collections.abc import Callable
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from eddyline.auth.principal import Principal
from eddyline.broadcast.broadcast import Broadcast, Topics
from eddyline.errors import BadRequest, NotFound
from eddyline.responses.pull import PullResponse
from eddyline.service.access import Caller
from eddyline.service.app import Context
from eddyline.service.openapi.operation import problems
from eddyline.telemetry.base import StreamMeter
from eddyline.threads import FILES
from eddyline.wire import sse
from eddyline_logs.http import openapi
from eddyline_logs.http.events import EVENTS
from eddyline_logs.http.openapi import LogList
from eddyline_logs.reading.history import History, unknown
from eddyline_logs.reading.tails import Tails
from eddyline_logs.settings import LogsSettings
from eddyline_logs.sources.base import Source
from eddyline_logs.sources.registry import Sources

#: Lines that a client gets first, unless it says how many.
LINES = 10

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
        once: StreamMeter,
        tails: Tails,
        history: History,
    ) -> None:
        self._context = context
        self._settings = settings
        self._sources = sources
        self._broadcast = broadcast
        self._meter = meter
        self._once = once
        self._tails = tails
        self._history = history

    def routes(self) -> APIRouter:
        routes = APIRouter()
        bounded = Depends(lines_at_most(self._settings.backlog_lines))
        for method in ("GET", "HEAD"):
            shown = method == "GET"
            routes.add_api_route(
                "/logs",
                self.list_logs,
                methods=[method],
                responses=problems(BadRequest),
                include_in_schema=shown,
            )
            routes.add_api_route(
                "/logs/{source:path}",
                self.follow_log,
                methods=[method],
                dependencies=[bounded],
                response_class=Response,
                response_model=openapi.Data,
                responses=openapi.LINES,
                description=_EVENTS,
                include_in_schema=shown,
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
        # The header is newer: an EventSource that reconnects repeats its URL.
        after = last_event_id or after
        if not (there or follow):
            raise NotFound(f"{source[:200]!r} has no file yet: follow=true waits for it")
        if request.method == "HEAD":
            return Response(headers=sse.STREAM_HEADERS, media_type=sse.EVENT_STREAM)
        if follow:
            return await self._follow(request, caller, found, lines, after)
        return self._read(request, caller, found, lines, after)

    async def _follow(
        self, request: Request, caller: Principal, source: Source, lines: int, after: str | None
    ) -> Response:
        with self._context.limits.for_request(request, caller) as permit:
            tail = await self._tails.get(source)
            start = await self._history.start(after, tail) if after else None
            # The place of an event of this moment is that from which the client goes on.
            at, first = after, b""
            if start is None or start == "unknown":
                # No await between these: older lines are in the files, newer ones come after this
                # cursor of the journal.
                published = tail.published()
                at = str(published.place)
                if start == "unknown":
                    self._meter.reset("unknown")
                    first, start = unknown(published.place), published.cursor
                else:
                    at, first, start = await self._history.last_lines(source, published, lines)
            first = tail.announcement(at) + first
            return self._broadcast.response(
                permit,
                Topics(frozenset({source.id})),
                after=start,
                expires=caller.expires,
                first=first,
                format=EVENTS,
                member=self._tails.reader(source),
            )

    def _read(
        self, request: Request, caller: Principal, source: Source, lines: int, after: str | None
    ) -> Response:
        """The lines that are there at this moment."""
        try:
            source.open().close()
        except OSError:
            raise NotFound(f"{source.id[:200]!r} cannot be read now") from None
        with self._context.limits.for_request(request, caller) as permit:
            return PullResponse(
                lambda: self._history.read_once(source, lines, after),
                self._context.stream(self._once, permit, caller.expires),
                media_type=sse.EVENT_STREAM,
                lane=FILES.lane(source.id),
            )


def lines_at_most(most: int) -> Callable[[int], None]:
    """A dependency that bounds the parameter `lines`: a method's annotation knows no setting."""

    def check(lines: Annotated[int, Query(ge=0, le=most)] = LINES) -> None:
        """FastAPI has checked it."""

    return check
