"""HTTP of the events service."""

import functools
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from events.hub import Hub
from events.publication import Publication, check_topic
from events.selection import Selection
from streaming.bare_route import BareRoute
from streaming.errors import BadRequest, TooLarge
from streaming.sse import EVENT_STREAM

MAX_TOPICS = 256


def _query(name: str, schema: dict[str, Any], text: str, where: str = "query") -> dict[str, Any]:
    return {"name": name, "in": where, "schema": schema, "description": text}


# Both routes are bare: FastAPI's parsing of parameters and models is a third of what accepting a
# subscriber or an event costs (profiled), and these two are what a hub does all day.
_SUBSCRIBE_DOCS = {
    "parameters": [
        _query(
            "topic",
            {"type": "array", "items": {"type": "string"}, "maxItems": MAX_TOPICS},
            "Exact topics; without one, all public topics.",
        ),
        _query("after", {"type": "string"}, "Resume after this event id, or `earliest`."),
        _query("Last-Event-ID", {"type": "string"}, "The same, as EventSource sends it.", "header"),
    ]
}
_PUBLISH_DOCS = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": Publication.model_json_schema()}},
    }
}


def router(hub: Hub) -> APIRouter:
    context, broadcast = hub.context, hub.broadcast
    routes = APIRouter()
    principal_of = context.authenticator.principal

    async def subscribe(request: Request) -> Response:
        """Server-sent events of the topics, or of all public topics.

        `Last-Event-ID` or `after` resumes; what is no longer retained is said in a
        `millrace.reset` event.
        """
        principal = await principal_of(request)
        selection = Selection.of(principal, _topics(request))
        id = request.headers.get("last-event-id") or request.query_params.get("after")
        after = await broadcast.locate(id, selection)
        lease = context.limits.for_request(request, principal)
        return broadcast.response(lease, selection, after=after, expires=principal.expires)

    async def publish(request: Request) -> Response:
        """Publishes one event: 201 once it is in the journal."""
        if not hub.shared:
            # The journal ends with this process, and so do its streams: what is accepted now would
            # not reach who has left already. Refused, it is the publisher's to send to the next.
            context.drain.admit()
        principal = await principal_of(request)
        publication = Publication.parse(await _body(request, hub.settings.max_event_bytes))
        principal.require("events", "publish", publication.topic)
        [receipt] = await hub.journal.append([publication.entry()])
        return Response(
            orjson.dumps({"id": receipt.id}), status_code=201, media_type="application/json"
        )

    streamed: dict[int | str, dict[str, Any]] = {200: {"content": {EVENT_STREAM: {}}}}
    add = functools.partial(routes.add_api_route, "/events", route_class_override=BareRoute)
    add(subscribe, methods=["GET"], openapi_extra=_SUBSCRIBE_DOCS, responses=streamed)
    add(subscribe, methods=["HEAD"], include_in_schema=False)
    add(publish, methods=["POST"], openapi_extra=_PUBLISH_DOCS, status_code=201)
    return routes


def _topics(request: Request) -> list[str]:
    """Raises BadRequest that names the topic."""
    topics = request.query_params.getlist("topic")
    if len(topics) > MAX_TOPICS:
        raise BadRequest(f"{len(topics)} topics were asked for: at most {MAX_TOPICS} are allowed")
    for topic in topics:
        check_topic(topic)
    return topics


async def _body(request: Request, limit: int) -> bytes:
    """The whole body; refused as soon as it is too large, however it is framed."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            raise TooLarge(f"an event may have {limit} bytes (EVENTS_MAX_EVENT_BYTES)")
    return bytes(body)
