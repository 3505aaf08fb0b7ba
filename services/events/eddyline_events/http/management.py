"""HTTP around the hub's streams: history, topics, subscribers, kicks, tickets."""

import time
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from eddyline.errors import BadRequest
from eddyline.journal.cursor import Cursor
from eddyline.service.body import at_most, read_body
from eddyline.service.raw_route import RawRoute
from eddyline_events.http.access import Gate
from eddyline_events.http.openapi import parameter
from eddyline_events.hub.history import history, topics
from eddyline_events.hub.hub import Hub
from eddyline_events.hub.presence.kick import WHATS, What
from eddyline_events.hub.publishing.publication import check_topic, parse
from eddyline_events.hub.selecting.selection import Selection
from eddyline_events.hub.tickets import LIFE

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000

#: Bytes of a body that names whom to kick, and characters of the name.
MAX_BODY = 4096
MAX_NAME = 1024

_TOPIC = parameter("topic", {"type": "string"}, "An exact topic; without one, every topic.")
_TOPICS = parameter(
    "topic",
    {"type": "array", "items": {"type": "string"}},
    "Topics, URI templates of topics, or `*`, as with `GET /events`.",
)
_LIMIT = parameter(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    "At most so many.",
)
_AFTER = parameter("after", {"type": "string"}, "An event id or `cursor`; else from the oldest.")
_BEFORE = parameter("before", {"type": "string"}, "The `before` of the last answer.")
_SUBSCRIBER = parameter("subscriber", {"type": "string"}, "Its id.", "path", required=True)
_KICK_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "minProperties": 1,
                "maxProperties": 1,
                "additionalProperties": False,
                "properties": {what: {"type": "string", "minLength": 1} for what in WHATS},
            },
            "example": {"subject": "alice"},
        }
    },
}


def add_routes(routes: APIRouter, hub: Hub, gate: Gate) -> None:
    async def read_history(request: Request) -> Response:
        """Retained events, the oldest first: `{"events": […], "cursor": …, "more": …}`.

        Ask again with `after` = `cursor` while there is `more`. `reset` tells that what followed
        `after` is no longer retained.
        """
        principal = await gate.principal(request)
        query = request.query_params
        selection = Selection.from_texts(principal, query.getlist("topic"))
        return _json(await history(hub, selection, query.get("after"), _limit(request)))

    async def read_topics(request: Request) -> Response:
        """Retained topics that may be subscribed to, those with the newest events first."""
        principal = await gate.principal(request)
        before = request.query_params.get("before")
        cursor = Cursor.parse(before) if before is not None else None
        return _json(await topics(hub, principal, cursor, _limit(request)))

    async def read_subscribers(request: Request) -> Response:
        """Who is subscribed, over all processes; needs the scope `events:presence`.

        Whoever left and comes back within EVENTS_PRESENCE_GRACE was there all the time.
        """
        principal = await gate.principal(request)
        topic = request.query_params.get("topic")
        principal.require("events", "presence", None if topic is None else check_topic(topic))
        found = await hub.presence.subscribers(topic)
        return _json({"count": len(found), "subscribers": found[: _limit(request)]})

    async def issue_ticket(request: Request) -> Response:
        """A ticket for `GET /events?ticket=…`: one use, within 30 seconds, the asker's rights."""
        ticket = await gate.ticket(request)
        return _json({"ticket": ticket, "expires": time.time() + LIFE}, 201)

    async def kick_subscriber(request: Request) -> Response:
        """Ends a subscriber's stream on whichever process it is; needs the scope `events:kick`."""
        principal = await gate.principal(request)
        principal.require("events", "kick")
        await hub.kicks.kick("subscriber", request.path_params["subscriber"][:MAX_NAME])
        return Response(status_code=204)

    async def kick(request: Request) -> Response:
        """Ends the streams of a subscriber, a subject or a token (`jti`); needs `events:kick`.

        A subject or token is then refused for EVENTS_KICK_SECONDS.
        """
        principal = await gate.principal(request)
        principal.require("events", "kick")
        await hub.kicks.kick(*await _whom(request))
        return Response(status_code=204)

    def add(path: str, endpoint: Any, method: str, *parameters: Any, **options: Any) -> None:
        extra = {"parameters": list(parameters)} if parameters else {}
        routes.add_api_route(
            path,
            endpoint,
            methods=[method],
            route_class_override=RawRoute,
            openapi_extra=extra | options.pop("extra", {}),
            **options,
        )

    add("/events/history", read_history, "GET", _TOPICS, _AFTER, _LIMIT)
    add("/events/topics", read_topics, "GET", _BEFORE, _LIMIT)
    add("/events/subscribers", read_subscribers, "GET", _TOPIC, _LIMIT)
    add("/events/tickets", issue_ticket, "POST", status_code=201)
    add("/events/kick", kick, "POST", status_code=204, extra={"requestBody": _KICK_BODY})
    path = "/events/subscribers/{subscriber}"
    add(path, kick_subscriber, "DELETE", _SUBSCRIBER, status_code=204)


def _json(value: Any, status: int = 200) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(orjson.dumps(value), status, headers, media_type="application/json")


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MAX_LIMIT):
        raise BadRequest(f"limit={text[:80]!r}: must be a whole number of 1-{MAX_LIMIT}")
    return int(text)


async def _whom(request: Request) -> tuple[What, str]:
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
