"""HTTP for the management of a hub: history, topics, subscribers, kicks, tickets."""

import functools
import time
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from eddyline.auth.principal import Principal
from eddyline.errors import BadRequest
from eddyline.journal.cursor import Cursor
from eddyline.service.body import at_most, read_body, require_type
from eddyline.service.raw_route import RawRoute
from eddyline_events.http import openapi
from eddyline_events.http.access import Access
from eddyline_events.http.openapi import DEFAULT_LIMIT, MAX_LIMIT
from eddyline_events.hub.history import history, topics
from eddyline_events.hub.hub import Hub
from eddyline_events.hub.presence.kick import WHATS, What
from eddyline_events.hub.publishing.publication import check_topic, parse
from eddyline_events.hub.selecting.selection import Selection
from eddyline_events.hub.tickets import LIFE

#: Bytes of the body of a kick, and characters of the name in it.
MAX_BODY = 4096
MAX_NAME = 1024


class ManagementApi:
    """The endpoints below `/events/`. One for each hub and process."""

    def __init__(self, hub: Hub, access: Access) -> None:
        self._hub = hub
        self._access = access

    def routes(self) -> APIRouter:
        routes = APIRouter()
        add = functools.partial(routes.add_api_route, route_class_override=RawRoute)
        add("/events/history", self.read_history, **openapi.READ_HISTORY)
        add("/events/topics", self.read_topics, **openapi.READ_TOPICS)
        add("/events/subscribers", self.read_subscribers, **openapi.READ_SUBSCRIBERS)
        add("/events/subscribers/{subscriber}", self.kick_subscriber, **openapi.KICK_SUBSCRIBER)
        add("/events/tickets", self.issue_ticket, **openapi.ISSUE_TICKET)
        add("/events/kick", self.kick, **openapi.KICK)
        return routes

    async def read_history(self, request: Request) -> Response:
        """Retained events, the oldest first: `{"events": […], "cursor": …, "more": …}`.

        Ask again with `after` = `cursor` while there is `more`. `reset` tells that the events after
        `after` are no longer retained.
        """
        principal = await self._access.principal(request)
        query = request.query_params
        selection = Selection.from_texts(principal, query.getlist("topic"))
        return _json(await history(self._hub, selection, query.get("after"), _limit(request)))

    async def read_topics(self, request: Request) -> Response:
        """Retained topics that may be subscribed to, those with the newest events first."""
        principal = await self._access.principal(request)
        before = request.query_params.get("before")
        cursor = Cursor.parse(before) if before is not None else None
        return _json(await topics(self._hub, principal, cursor, _limit(request)))

    async def read_subscribers(self, request: Request) -> Response:
        """All subscribers, over all processes; needs the scope `events:presence`.

        A subscriber that left and comes back within EVENTS_PRESENCE_GRACE was there all the time.
        Of its topics those are told that the scope covers.
        """
        principal = await self._access.principal(request)
        topic = request.query_params.get("topic")
        principal.require("events", "presence", None if topic is None else check_topic(topic))
        found = await self._hub.presence.subscribers(topic)
        for one in found:
            one["topics"] = [text for text in one["topics"] if self._is_told(principal, text)]
        found = [one for one in found if one["topics"]]
        return _json({"count": len(found), "subscribers": found[: _limit(request)]})

    def _is_told(self, principal: Principal, topic: str) -> bool:
        """Whether presence tells a principal of the subscribers of a topic, or of a template."""
        granted = principal.allows("events", "presence", topic)
        return granted and self._hub.namespaces.of(topic).presence

    async def issue_ticket(self, request: Request) -> Response:
        """A ticket for `GET /events?ticket=…`, with the asker's rights; to be used within 30 s.

        The first answer sets a cookie. With it the ticket stays good for reconnects, until the end
        of the asker's token.
        """
        ticket = await self._access.ticket(request)
        return _json({"ticket": ticket, "expires": time.time() + LIFE}, 201)

    async def kick_subscriber(self, request: Request) -> Response:
        """Ends a subscriber's stream on whichever process it is; needs the scope `events:kick`."""
        principal = await self._access.principal(request)
        principal.require("events", "kick")
        await self._hub.kicks.kick("subscriber", request.path_params["subscriber"][:MAX_NAME])
        return Response(status_code=204)

    async def kick(self, request: Request) -> Response:
        """Ends the streams of a subscriber, a subject or a token (`jti`); needs `events:kick`.

        A subject or token is then refused for EVENTS_KICK_SECONDS.
        """
        principal = await self._access.principal(request)
        principal.require("events", "kick")
        await self._hub.kicks.kick(*await _kicked(request))
        return Response(status_code=204)


def _json(value: Any, status: int = 200) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(orjson.dumps(value), status, headers, media_type="application/json")


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MAX_LIMIT):
        raise BadRequest(f"limit={text[:80]!r}: must be a whole number of 1-{MAX_LIMIT}")
    return int(text)


async def _kicked(request: Request) -> tuple[What, str]:
    """The kind and the name in the body of a kick."""
    require_type(request, "application/json")
    value = parse(await read_body(request, at_most(MAX_BODY, f"a kick may have {MAX_BODY} bytes")))
    if isinstance(value, dict) and len(value) == 1:
        for what in WHATS:
            name = value.get(what)
            if isinstance(name, str) and 0 < len(name) <= MAX_NAME:
                return what, name
    raise BadRequest(
        f"{str(value)[:80]}: must be an object with one of {', '.join(WHATS)},"
        f" a string of 1-{MAX_NAME} characters"
    )
