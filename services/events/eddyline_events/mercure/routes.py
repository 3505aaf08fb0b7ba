"""The Mercure protocol at `/.well-known/mercure`: revisions 0.x and 1.0 on one endpoint.

The parameters and the token of a request say which it speaks: `topic` and a `mercure` claim, or
`match*` and an access token (`at+jwt`). https://mercure.rocks/spec
"""

import functools
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from eddyline.broadcast.subscriber import Start
from eddyline.errors import StreamingError, Unavailable
from eddyline.journal.cursor import EARLIEST, Cursor
from eddyline.service.raw_route import RawRoute
from eddyline.telemetry import metrics
from eddyline.wire.sse import STREAM_HEADERS
from eddyline_events.hub.hub import Hub
from eddyline_events.hub.namespace import PATH
from eddyline_events.hub.publishing.publisher import Publisher
from eddyline_events.hub.publishing.rate import Rate
from eddyline_events.mercure.auth.authenticator import MercureAuth
from eddyline_events.mercure.auth.challenge import METADATA_PATH, metadata, refusal
from eddyline_events.mercure.auth.permissions import Access
from eddyline_events.mercure.discovery import last_event_id
from eddyline_events.mercure.form import body_fields, query_fields
from eddyline_events.mercure.openapi import PUBLISH, SUBSCRIBE
from eddyline_events.mercure.publication import entry_of
from eddyline_events.mercure.request import MAX_MATCHERS, matchers_of, resume_id
from eddyline_events.mercure.subscriptions.listing import Listing
from eddyline_events.mercure.subscriptions.member import MercureMember
from eddyline_events.mercure.subscriptions.subscriptions import SUBSCRIPTIONS, Subscriptions
from eddyline_events.mercure.topics.matcher import MAX_TOPIC_BYTES, Selection

Endpoint = Callable[[Request], Awaitable[Response]]

# Their answers may be private, and the token may be in the URL (RFC 6750 section 2.3).
_HEADERS = STREAM_HEADERS | {"Cache-Control": "private, no-cache, no-store, no-transform"}

#: Percent-encoding makes three bytes of one.
_ENCODED = 3


def router(hub: Hub, subscriptions: Subscriptions | None) -> APIRouter:
    """`subscriptions`: where active ones are published and listed."""
    context, settings, broadcast = hub.context, hub.settings, hub.broadcast
    base = settings.mercure_url or f"http://localhost:{settings.port}{PATH}"
    auth = MercureAuth(context.authenticator, settings, base)
    publisher = Publisher(hub.journal, Rate(settings.publish_rate))

    async def admitted(request: Request) -> Access:
        access = await auth.access(request)
        hub.kicks.require_not_kicked(access.principal)
        return access

    async def subscribe(request: Request) -> Response:
        """Server-sent events of the topics that `topic` (0.x), or `match*` (1.0), selects."""
        access = await admitted(request)
        fields = query_fields(request)
        if request.method == "QUERY":
            fields += await body_fields(request, MAX_MATCHERS * MAX_TOPIC_BYTES * _ENCODED)
        matchers = matchers_of(fields, base)
        selection = Selection.from_matchers(matchers, access.subscribe)
        id = resume_id(request, fields)
        after = await broadcast.locate(id, selection)
        member = MercureMember(hub, subscriptions, access, matchers)
        headers = _HEADERS | {"Eddyline-Subscriber": member.id}
        if id is not None:
            headers |= await resumed(id, after)
        return broadcast.response(
            context.limits.for_request(request, access.principal),
            selection,
            after=after,
            expires=access.expires,
            member=member,
            headers=headers,
        )

    async def resumed(id: str, after: Start) -> dict[str, str]:
        """Which event precedes the first one that is sent: another than `id` means a loss."""
        if after is None:
            preceding = last_event_id(broadcast.head)
        elif isinstance(after, Cursor) and await is_retained(after):
            preceding = id
        else:
            preceding = EARLIEST
        # As it came: header values are bytes, and ids UTF-8.
        value = preceding.encode().decode("latin-1")
        return {"Last-Event-ID": value, "Mercure-Last-Event-ID": value}

    async def is_retained(after: Cursor) -> bool:
        # What is kept at hand costs the journal nothing: thousands may come back at once.
        if broadcast.recent.gap(after) is None:
            return True
        return (await hub.journal.read(after, 1)).gap is None

    async def publish(request: Request) -> Response:
        """Publishes an update: 200 and its id, once it is in the journal."""
        if not hub.shared:
            context.drain.admit()  # see routes.py
        access = await admitted(request)
        fields = await body_fields(request, settings.max_event_bytes * _ENCODED)
        entry = entry_of(fields, settings.max_event_bytes, broadcast.head.epoch)
        access.require_publish((entry.topic, *entry.alternates))
        publisher.rate.take(access.subject, 1)
        [receipt] = await publisher.append([entry])
        return Response(receipt.id, media_type="text/plain")

    async def describe(request: Request) -> Response:
        """OAuth 2.0 protected resource metadata (RFC 9728)."""
        document = metadata(settings, auth.resource or base)
        return JSONResponse(document)

    async def listing(request: Request) -> Response:
        """Active subscriptions: all, those of one matcher, or one of them."""
        assert subscriptions is not None
        access = await admitted(request)
        link = settings.mercure_url or PATH
        return await Listing(subscriptions, link).answer(request, access, broadcast.head)

    routes = APIRouter()
    add = functools.partial(routes.add_api_route, route_class_override=RawRoute)

    def challenging(endpoint: Endpoint) -> Endpoint:
        @functools.wraps(endpoint)
        async def answer(request: Request) -> Response:
            try:
                return await endpoint(request)
            except StreamingError as error:
                if request.method == "POST" and not isinstance(error, Unavailable):
                    metrics.published["refused"].inc()
                return await refusal(request, error, base)

        return answer

    def serve(path: str, endpoint: Endpoint, *methods: str, **options: Any) -> None:
        add(path, challenging(endpoint), methods=list(methods), **options)

    serve(PATH, subscribe, "GET", **SUBSCRIBE)
    serve(PATH, subscribe, "HEAD", "QUERY", include_in_schema=False)
    serve(PATH, publish, "POST", **PUBLISH)
    serve(METADATA_PATH, describe, "GET")
    if subscriptions is not None:
        serve(SUBSCRIPTIONS, listing, "GET")
        serve(SUBSCRIPTIONS + "/{rest:path}", listing, "GET")
    return routes
