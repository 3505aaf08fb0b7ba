"""HTTP of the events service."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Header, Query, Request, Response

from events.publication import Publication, Topic
from events.selection import Selection
from events.settings import EventsSettings
from streaming.app import Context
from streaming.auth import Principal
from streaming.broadcast import Broadcast
from streaming.errors import TooLarge
from streaming.journal import Journal
from streaming.sse import EVENT_STREAM

MAX_TOPICS = 256

_PUBLISH_DOCS = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": Publication.model_json_schema()}},
    }
}


def router(
    context: Context, settings: EventsSettings, journal: Journal, broadcast: Broadcast
) -> APIRouter:
    routes = APIRouter()
    authenticated = Depends(context.authenticator.principal)

    @routes.get("/events", responses={200: {"content": {EVENT_STREAM: {}}}})
    @routes.head("/events", include_in_schema=False)
    async def subscribe(
        request: Request,
        principal: Annotated[Principal, authenticated],
        topic: Annotated[list[Topic] | None, Query(max_length=MAX_TOPICS)] = None,
        after: Annotated[str | None, Query(max_length=256)] = None,
        last_event_id: Annotated[str | None, Header(max_length=256)] = None,
    ) -> Response:
        """Server-sent events of the topics, or of all public topics.

        `Last-Event-ID` or `after` (an event's id, or `earliest`) resumes; what is no longer
        retained is said in a
        `millrace.reset` event.
        """
        selection = Selection.of(principal, topic)
        lease = context.limits.for_request(request, principal)
        return broadcast.response(
            lease, selection, after=last_event_id or after, expires=principal.expires
        )

    @routes.post("/events", status_code=201, openapi_extra=_PUBLISH_DOCS)
    async def publish(request: Request, principal: Annotated[Principal, authenticated]) -> Response:
        """Publishes one event: 201 once it is in the journal."""
        publication = Publication.parse(await _body(request, settings.max_event_bytes))
        principal.require("events", "publish", publication.topic)
        entry = await journal.append(publication.entry())
        return Response(
            orjson.dumps({"id": entry.id}), status_code=201, media_type="application/json"
        )

    return routes


async def _body(request: Request, limit: int) -> bytes:
    """The whole body; refused as soon as it is too large, however it is framed."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            raise TooLarge(f"an event may have {limit} bytes (EVENTS_MAX_EVENT_BYTES)")
    return bytes(body)
