"""HTTP of the events service."""

import functools
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from eddyline.auth.principal import Principal
from eddyline.errors import StreamingError, TooLarge, Unavailable
from eddyline.service.body import read_body
from eddyline.service.raw_route import RawRoute
from eddyline.telemetry import metrics
from eddyline.wire.ndjson import NDJSON
from eddyline.wire.sse import EVENT_STREAM, STREAM_HEADERS
from eddyline_events.http.access import Gate
from eddyline_events.http.batch import entries as batch
from eddyline_events.http.batch import is_batch
from eddyline_events.http.management import add_routes
from eddyline_events.http.openapi import FLAG, parameter
from eddyline_events.http.publish_lines import LineGroups, LinePublisher
from eddyline_events.hub.hub import Hub
from eddyline_events.hub.namespace import PATH
from eddyline_events.hub.publishing.idempotency import REPLAYED, key_of
from eddyline_events.hub.publishing.publication import SCHEMA, entry_of, parse
from eddyline_events.hub.publishing.publisher import Grants, Publisher, conflict
from eddyline_events.hub.publishing.rate import Rate
from eddyline_events.hub.selecting.selection import MAX_TOPICS, Selection
from eddyline_events.hub.selecting.subscription import MAX_POLL_SECONDS, POLL_SECONDS, Subscription
from eddyline_events.mercure.discovery import hub_link
from eddyline_events.settings import EventsSettings

# Both routes are bare: FastAPI's parsing of parameters and models is a third of what accepting a
# subscriber or an event costs (profiled), and these two are what a hub does all day.
_SUBSCRIBE_DOCS = {
    "parameters": [
        parameter(
            "topic",
            {"type": "array", "items": {"type": "string"}, "maxItems": MAX_TOPICS},
            "Topics, URI templates of topics (RFC 6570), or `*`; without one, all public topics.",
        ),
        parameter("after", {"type": "string"}, "Resume after this event id, or `earliest`."),
        parameter(
            "Last-Event-ID", {"type": "string"}, "The same, as EventSource sends it.", "header"
        ),
        parameter("envelope", FLAG, "Each event's data is `{topic, id, time, event, data}`."),
        parameter("poll", FLAG, "One JSON answer, as soon as there are events: a long poll."),
        parameter(
            "ticket",
            {"type": "string"},
            "In place of a token: what `POST /events/tickets` gave.",
        ),
        parameter(
            "timeout",
            {
                "type": "number",
                "minimum": 0,
                "maximum": MAX_POLL_SECONDS,
                "default": POLL_SECONDS,
            },
            "Seconds after which a long poll is answered without any.",
        ),
    ]
}
_PUBLISH_DOCS = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"oneOf": [SCHEMA, {"type": "array", "items": SCHEMA}]},
                "example": {"topic": "orders/7", "data": {"state": "paid"}},
            },
            NDJSON: {"schema": {"type": "string"}},
        },
    },
    "parameters": [
        parameter(
            "Idempotency-Key",
            {"type": "string", "maxLength": 255},
            "The same key and body again, within an hour, publish nothing and get the same ids.",
            "header",
        ),
    ],
}


def router(hub: Hub) -> APIRouter:
    context, broadcast = hub.context, hub.broadcast
    routes = APIRouter()
    link = hub_link(hub.settings.mercure_url or PATH)
    gate = Gate(hub)
    publisher = Publisher(hub.journal, Rate(hub.settings.publish_rate))
    pulled = metrics.StreamMetrics("events", "pull")

    async def subscribe(request: Request) -> Response:
        """Events of the topics, or of all public topics: server-sent, as NDJSON, or by long poll.

        `Last-Event-ID` or `after` resumes; what is no longer retained is said in a
        `eddyline.reset` event. Private events are only for who names their topic, and is granted
        it.
        """
        principal = await gate.subscriber(request)
        wanted = Subscription.from_request(request)
        selection = Selection.from_texts(principal, wanted.topics)
        after = await broadcast.locate(wanted.id, selection)
        permit = context.limits.for_request(request, principal)
        member = hub.presence.member(principal, selection)
        return broadcast.response(
            permit,
            selection,
            after=after,
            expires=principal.expires,
            format=wanted.format,
            seconds=wanted.seconds,
            member=member,
            headers=STREAM_HEADERS | {"Link": link, "Eddyline-Subscriber": member.id},
        )

    async def publish(request: Request) -> Response:
        """Publishes one event, a JSON array of them, or NDJSON: all that is answered with an id is
        in the journal.

        An array is published whole or not at all, and answered by an array in its order. NDJSON is
        answered line by line while it is read: `{"id": …}`, or `{"error": …, "line": n}` for a line
        that was refused; `Prefer: return=minimal` leaves the ids out. `Idempotency-Key` makes it
        safe to send the same again.
        """
        if not hub.shared:
            # The journal ends with this process, and so do its streams: what is accepted now would
            # not reach who has left already. Refused, it is the publisher's to send to the next.
            context.drain.admit()
        principal = await gate.principal(request)
        key = key_of(request, principal)
        if request.headers.get("content-type", "").split(";")[0].strip().lower() == NDJSON:
            return publish_lines(request, principal, key)
        try:
            return await publish_json(request, principal, key)
        except Unavailable:
            raise
        except StreamingError:
            metrics.published["refused"].inc()
            raise

    async def publish_json(request: Request, principal: Principal, key: str | None) -> Response:
        body = await read_body(request, lambda body: _check_size(body, hub.settings))
        grants = Grants(principal)
        if is_batch(body):
            entries = batch(body, key, grants, hub.settings)
        else:
            entries = [entry_of(parse(body), key)]
            grants.require(entries[0].topic)
        publisher.rate.take(principal.subject, len(entries))
        receipts = await publisher.append(entries)
        for index, receipt in enumerate(receipts):
            if receipt.outcome == "conflict":
                raise conflict(f"item {index}" if is_batch(body) else "the event")
        ids = [{"id": receipt.id} for receipt in receipts]
        replayed = bool(receipts) and all(receipt.outcome == "repeated" for receipt in receipts)
        return Response(
            orjson.dumps(ids if is_batch(body) else ids[0]),
            status_code=201,
            headers=REPLAYED if replayed else None,
            media_type="application/json",
        )

    def publish_lines(request: Request, principal: Principal, key: str | None) -> Response:
        minimal = "return=minimal" in request.headers.get("prefer", "").replace(" ", "").lower()
        groups = LineGroups(hub, publisher, principal, key, minimal)
        permit = context.limits.for_request(request, principal)
        stream = context.stream(pulled, permit, principal.expires)
        return LinePublisher(hub, stream, groups)

    streamed: dict[int | str, dict[str, Any]] = {
        200: {"content": {EVENT_STREAM: {}, NDJSON: {}, "application/json": {}}}
    }
    add = functools.partial(routes.add_api_route, "/events", route_class_override=RawRoute)
    add(subscribe, methods=["GET"], openapi_extra=_SUBSCRIBE_DOCS, responses=streamed)
    add(subscribe, methods=["HEAD"], include_in_schema=False)
    add(publish, methods=["POST"], openapi_extra=_PUBLISH_DOCS, status_code=201)
    add_routes(routes, hub, gate)
    return routes


def _check_size(body: bytearray, settings: EventsSettings) -> None:
    if len(body) <= settings.max_event_bytes:
        return
    if not is_batch(body):
        raise TooLarge(
            f"an event may have {settings.max_event_bytes} bytes (EVENTS_MAX_EVENT_BYTES)"
        )
    if len(body) > settings.max_batch_bytes:
        raise TooLarge(
            f"a batch may have {settings.max_batch_bytes} bytes (EVENTS_MAX_BATCH_BYTES);"
            " send more as application/x-ndjson"
        )
