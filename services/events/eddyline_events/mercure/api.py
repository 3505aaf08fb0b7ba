"""The Mercure protocol at `/.well-known/mercure`: revisions 0.x and 1.0 on one endpoint.

The parameters and the token of a request tell the revision: `topic` and a `mercure` claim, or
`match*` and an access token (`at+jwt`). https://mercure.rocks/spec
"""

import functools
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from eddyline.broadcast.catch_up import Start, page_for
from eddyline.errors import StreamingError, Unavailable
from eddyline.journal.cursor import EARLIEST, Cursor
from eddyline.service.raw_route import ProtocolRoute
from eddyline.telemetry import metrics
from eddyline.wire.sse import STREAM_HEADERS
from eddyline_events.hub.hub import Hub
from eddyline_events.hub.namespace import PATH
from eddyline_events.hub.publishing.publisher import Publisher
from eddyline_events.hub.publishing.rate import Rate
from eddyline_events.mercure import openapi
from eddyline_events.mercure.auth.authenticator import MercureAuthenticator
from eddyline_events.mercure.auth.challenge import METADATA_PATH, metadata, refusal
from eddyline_events.mercure.discovery import hub_link, last_event_id
from eddyline_events.mercure.form import body_fields, query_fields
from eddyline_events.mercure.publication import entry_of, new_id
from eddyline_events.mercure.request import MAX_MATCHERS, matchers_of, resume_id
from eddyline_events.mercure.subscriptions.listing import Listing
from eddyline_events.mercure.subscriptions.member import MercureMember
from eddyline_events.mercure.subscriptions.subscriptions import (
    SUBSCRIPTIONS,
    Subscriptions,
    check_published,
)
from eddyline_events.mercure.topics.matcher import MAX_TOPIC_BYTES
from eddyline_events.mercure.topics.selection import MercureSelection

Endpoint = Callable[[Request], Awaitable[Response]]

# Events may be private, and the token may be in the URL (RFC 6750 section 2.3).
_HEADERS = STREAM_HEADERS | {"Cache-Control": "private, no-cache, no-store, no-transform"}

#: Percent-encoding makes three bytes of one.
_ENCODED = 3


class MercureApi:
    """An `Extension` of the service. One for each hub and process."""

    def __init__(self, hub: Hub) -> None:
        settings = hub.settings
        self._hub = hub
        self._url = settings.mercure_url or PATH
        self._base = settings.mercure_url or f"http://localhost:{settings.port}{PATH}"
        self._auth = MercureAuthenticator(hub, self._base)
        self._publisher = Publisher(
            hub.journal, Rate(hub.state, settings.publish_rate, hub.namespaces)
        )
        self._subscriptions: Subscriptions | None = None
        if settings.mercure_subscriptions:
            self._subscriptions = Subscriptions(hub.state, hub.journal)

    @property
    def link(self) -> str:
        return hub_link(self._url)

    def run(self) -> AbstractAsyncContextManager[None]:
        return nullcontext() if self._subscriptions is None else self._subscriptions.run()

    def routes(self) -> APIRouter:
        routes = APIRouter()
        serve = functools.partial(self._serve, routes)
        serve(PATH, self.subscribe, "GET", **openapi.SUBSCRIBE)
        serve(PATH, self.subscribe, "HEAD", "QUERY", include_in_schema=False)
        serve(PATH, self.publish, "POST", **openapi.PUBLISH)
        serve(METADATA_PATH, self.describe, "GET", **openapi.DESCRIBE)
        if self._subscriptions is not None:
            listing = Listing(self._hub, self._auth, self._subscriptions, self._url)
            find = listing.list_subscriptions
            serve(SUBSCRIPTIONS, find, "GET", **openapi.LIST_SUBSCRIPTIONS)
            serve(SUBSCRIPTIONS + "/{rest:path}", find, "GET", **openapi.FIND_SUBSCRIPTIONS)
        return routes

    async def subscribe(self, request: Request) -> Response:
        """Server-sent events of the topics that `topic` (0.x), or `match*` (1.0), selects."""
        hub = self._hub
        permissions = await self._auth.permissions(request)
        fields = query_fields(request)
        if request.method == "QUERY":
            fields += await body_fields(request, MAX_MATCHERS * MAX_TOPIC_BYTES * _ENCODED)
        matchers = matchers_of(fields, self._base)
        if self._subscriptions is not None:
            check_published(matchers)
        selection = MercureSelection.from_matchers(
            matchers, permissions.subscribe, permissions.open
        )
        id = resume_id(request, fields)
        after = await hub.start(id, selection)
        member = MercureMember(hub, self._subscriptions, permissions, matchers)
        headers = _HEADERS | {"Eddyline-Subscriber": member.id}
        if id is not None:
            headers |= await self._resumed(id, after, selection)
        with hub.context.limits.for_request(request, permissions.principal) as permit:
            return hub.broadcast.response(
                permit,
                selection,
                after=after,
                expires=permissions.expires,
                member=member,
                headers=headers,
            )

    async def publish(self, request: Request) -> Response:
        """Publishes an update: 200 and its id, once it is in the journal."""
        hub = self._hub
        hub.admit_publisher()
        permissions = await self._auth.permissions(request)
        limit = hub.settings.max_event_bytes
        fields = await body_fields(request, limit * _ENCODED)
        entry = entry_of(fields, limit)
        permissions.require_publish((entry.topic, *entry.alternates))
        hub.namespaces.check(entry)
        await self._publisher.rate.take(permissions.principal.identity, [entry.topic])
        [receipt] = await self._publisher.append([entry])
        if receipt.outcome == "taken":
            # Many publishers give all their updates one id. A client that resumed from it would get
            # all of them again, so the hub makes another one, as it may (section Publication).
            [receipt] = await self._publisher.append([replace(entry, id=new_id())])
        return Response(receipt.id, media_type="text/plain")

    async def describe(self, request: Request) -> Response:
        """OAuth 2.0 protected resource metadata (RFC 9728)."""
        return JSONResponse(metadata(self._hub.settings, self._auth.resource or self._base))

    async def _resumed(self, id: str, after: Start, selection: MercureSelection) -> dict[str, str]:
        """Name the event that precedes the first one sent: another than `id` means a loss."""
        if after is None:
            preceding = last_event_id(self._hub.broadcast.head)
        elif isinstance(after, Cursor) and await self._is_retained(after, selection):
            preceding = id
        else:
            preceding = EARLIEST
        # The value as it came: header values are bytes, and ids are UTF-8.
        value = preceding.encode().decode("latin-1")
        return {"Last-Event-ID": value, "Mercure-Last-Event-ID": value}

    async def _is_retained(self, after: Cursor, selection: MercureSelection) -> bool:
        # Thousands may come back at once: recent entries, which are in memory, spare the journal.
        if self._hub.broadcast.recent.gap(after) is None:
            return True
        page = await page_for(selection, partial(self._hub.journal.read, after, 1))
        return page.gap_of(selection.may_match) is None

    def _serve(
        self, routes: APIRouter, path: str, endpoint: Endpoint, *methods: str, **options: Any
    ) -> None:
        routes.add_api_route(
            path,
            self._challenging(endpoint),
            methods=list(methods),
            route_class_override=ProtocolRoute,
            **options,
        )

    def _challenging(self, endpoint: Endpoint) -> Endpoint:
        """The same endpoint, whose errors have the challenge that RFC 6750 section 3 wants."""

        @functools.wraps(endpoint)
        async def answer(request: Request) -> Response:
            try:
                return await endpoint(request)
            except StreamingError as error:
                if request.method == "POST" and not isinstance(error, Unavailable):
                    metrics.published["refused"].inc()
                return await refusal(request, error, self._base)

        return answer
