"""HTTP of the hub's streams: `GET /events` subscribes, `POST /events` publishes."""

import functools
from collections.abc import Sequence

import orjson
from fastapi import APIRouter, Request, Response

from eddyline.auth.principal import Principal
from eddyline.errors import StreamingError, TooLarge, Unavailable
from eddyline.service.body import read_body, require_type
from eddyline.service.raw_route import RawRoute
from eddyline.telemetry import metrics
from eddyline.wire.ndjson import NDJSON
from eddyline.wire.sse import STREAM_HEADERS
from eddyline_events.http.access import Access
from eddyline_events.http.batch import entries as batch
from eddyline_events.http.batch import is_batch
from eddyline_events.http.durable import TopicStreams
from eddyline_events.http.openapi import PUBLISH, SUBSCRIBE
from eddyline_events.http.publish_lines import LineGroups, LinePublisher
from eddyline_events.hub.hub import Hub
from eddyline_events.hub.publishing.idempotency import REPLAYED, key_of
from eddyline_events.hub.publishing.publication import entry_of, parse
from eddyline_events.hub.publishing.publisher import Grants, Publisher, conflict
from eddyline_events.hub.publishing.rate import Rate
from eddyline_events.hub.selecting.subscription import Subscription
from eddyline_events.settings import EventsSettings

JSON = "application/json"


class EventsApi:
    """The endpoints of `/events`: subscribing and publishing. One for each hub and process.

    `links`: values of the `Link` header of each stream, by which other protocols are discovered.
    """

    def __init__(self, hub: Hub, access: Access, links: Sequence[str] = ()) -> None:
        self._hub = hub
        self._access = access
        self._publisher = Publisher(
            hub.journal, Rate(hub.state, hub.settings.publish_rate, hub.namespaces)
        )
        self._durable = TopicStreams(hub, access)
        self._pulled = metrics.StreamMetrics("events", "pull")
        self._headers = STREAM_HEADERS | ({"Link": ", ".join(links)} if links else {})

    def routes(self) -> APIRouter:
        routes = APIRouter()
        # FastAPI's parsing of parameters and models is a third of the cost of a subscriber or an
        # event (profiled), and a hub does these two all day.
        add = functools.partial(routes.add_api_route, "/events", route_class_override=RawRoute)
        add(self.subscribe, **SUBSCRIBE)
        extra = SUBSCRIBE["openapi_extra"]
        add(self.subscribe, methods=["HEAD"], include_in_schema=False, openapi_extra=extra)
        add(self.publish, **PUBLISH)
        return routes

    async def subscribe(self, request: Request) -> Response:
        """Events of the topics, or of all public topics: server-sent, as NDJSON, or by long poll.

        `Last-Event-ID` or `after` resumes. Where the events after it are no longer retained, an
        event `eddyline.reset` says so. Private events are sent only to subscribers that name their
        topic, and are granted it. With `offset` the topics are read as a durable stream.
        """
        if "offset" in request.query_params:
            return await self._durable.respond(request)
        hub = self._hub
        subscriber = await self._access.subscriber(request)
        principal = subscriber.principal
        wanted = Subscription.from_request(request)
        selection = self._access.selection(principal, wanted.topics)
        after = await hub.start(wanted.id, selection)
        with hub.context.limits.for_request(request, principal) as permit:
            headers = await self._access.admitted(subscriber, request)
            member = hub.presence.member(principal, selection)
            return hub.broadcast.response(
                permit,
                selection,
                after=after,
                expires=principal.expires,
                format=wanted.format,
                seconds=wanted.seconds,
                member=member,
                headers=self._headers | headers | {"Eddyline-Subscriber": member.id},
            )

    async def publish(self, request: Request) -> Response:
        """Publishes one event, a JSON array of them, or NDJSON: every event that is answered with
        an id is in the journal.

        An array is published whole or not at all, and answered by an array in its order. NDJSON is
        answered line by line while it is read: `{"id": …}`, or `{"error": …, "line": n}` for a line
        that was refused; `Prefer: return=minimal` leaves the ids out. `Idempotency-Key` makes it
        safe to send the same again.
        """
        self._hub.admit_publisher()
        principal = await self._access.publisher(request)
        key = key_of(request, principal)
        if require_type(request, JSON, NDJSON) == NDJSON:
            return self._publish_lines(request, principal, key)
        try:
            return await self._publish_json(request, principal, key)
        except Unavailable:
            raise
        except StreamingError:
            metrics.published["refused"].inc()
            raise

    async def _publish_json(
        self, request: Request, principal: Principal, key: str | None
    ) -> Response:
        settings, publisher = self._hub.settings, self._publisher
        body = await read_body(request, lambda body: _check_size(body, settings))
        grants = Grants(principal)
        if is_batch(body):
            entries = batch(body, key, grants, settings)
        else:
            entries = [entry_of(parse(body), key)]
            grants.require(entries[0].topic)
        for entry in entries:
            self._hub.namespaces.check(entry)
        await publisher.rate.take(principal.identity, [entry.topic for entry in entries])
        receipts = await publisher.append(entries)
        for index, receipt in enumerate(receipts):
            if error := conflict(receipt, f"item {index}" if is_batch(body) else "the event"):
                raise error
        ids = [{"id": receipt.id} for receipt in receipts]
        replayed = bool(receipts) and all(receipt.outcome == "repeated" for receipt in receipts)
        return Response(
            orjson.dumps(ids if is_batch(body) else ids[0]),
            status_code=201,
            headers=REPLAYED if replayed else None,
            media_type="application/json",
        )

    def _publish_lines(self, request: Request, principal: Principal, key: str | None) -> Response:
        hub = self._hub
        minimal = "return=minimal" in request.headers.get("prefer", "").replace(" ", "").lower()
        groups = LineGroups(hub, self._publisher, principal, key, minimal)
        with hub.context.limits.for_request(request, principal) as permit:
            stream = hub.context.stream(self._pulled, permit, principal.expires)
            return LinePublisher(hub, stream, groups)


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
