"""HTTP of the streams service: Durable Streams at `/v1/stream/{path}`."""

import functools

from fastapi import APIRouter, Request, Response

from eddyline.auth.principal import Principal
from eddyline.durable.app import DurableStreams
from eddyline.durable.headers import refusal
from eddyline.durable.reader import Admission
from eddyline.durable.writing.writer import WritePolicy, Writer
from eddyline.errors import NotFound, StreamingError
from eddyline.produce.stream_feeds import StreamFeeds
from eddyline.rate import Rate
from eddyline.service.app import Context
from eddyline.service.raw_route import ProtocolRoute
from eddyline.store.base import StreamStore
from eddyline.telemetry import metrics
from eddyline_streams.http.openapi import OPERATIONS
from eddyline_streams.paths import ROOT, is_reserved, key_of
from eddyline_streams.settings import StreamsSettings
from eddyline_streams.subscriptions.subscriptions import Subscriptions

_ACTIONS = {"GET": "read", "HEAD": "read", "PUT": "create", "POST": "append", "DELETE": "delete"}


class StreamsApi:
    """The routes of the service. One for each process."""

    def __init__(
        self,
        context: Context,
        settings: StreamsSettings,
        store: StreamStore,
        feeds: StreamFeeds,
        subscriptions: Subscriptions,
    ) -> None:
        self._context = context
        self._rate = Rate(settings.write_rate, "writes", "STREAMS_WRITE_RATE")
        most = settings.stream_bytes or None
        policy = WritePolicy(key_of, settings.write_bytes, most, subscriptions.wrote)
        writer = Writer(store, policy)
        self._streams = DurableStreams(store, feeds, settings.reading, writer)

    def routes(self) -> APIRouter:
        routes = APIRouter()
        add = functools.partial(
            routes.add_api_route, ROOT + "{path:path}", route_class_override=ProtocolRoute
        )
        for method, operation in OPERATIONS.items():
            add(getattr(self, f"{method.lower()}_stream"), methods=[method], **operation)
        return routes

    async def get_stream(self, request: Request) -> Response:
        """Data after an offset: at once, or by long poll or as events once there is more."""
        return await self._respond(request)

    async def head_stream(self, request: Request) -> Response:
        """The end of a stream, whether it is closed, and for how long it is kept."""
        return await self._respond(request)

    async def put_stream(self, request: Request) -> Response:
        """Makes a stream, or a fork of another; 200 where it is there already, and alike."""
        return await self._respond(request)

    async def post_stream(self, request: Request) -> Response:
        """Appends to a stream, or closes it, or both in one step."""
        return await self._respond(request)

    async def delete_stream(self, request: Request) -> Response:
        """Deletes a stream. Forks of it live on."""
        return await self._respond(request)

    async def _respond(self, request: Request) -> Response:
        try:
            response = await self._admitted(request, request.path_params["path"])
        except StreamingError as error:
            response = refusal(request, error)
        if response.status_code >= 400:
            metrics.problems.labels(response.status_code).inc()
        return response

    async def _admitted(self, request: Request, key: str) -> Response:
        """Raises Unauthorized, Forbidden, NotFound and Overloaded."""
        caller = await self._context.authenticator.principal(request)
        if is_reserved(key):
            raise NotFound(f"there is nothing at {ROOT}{key[:80]}")
        caller.require("streams", _ACTIONS[request.method], key)
        if request.method not in ("GET", "HEAD"):
            self._admit_write(request, caller)
        permit = functools.partial(self._context.limits.for_request, request, caller)
        return await self._streams.respond(request, key, Admission(permit, caller.expires))

    def _admit_write(self, request: Request, caller: Principal) -> None:
        self._rate.take(caller.subject, 1)
        source = request.headers.get("stream-forked-from")
        if source is not None and (key := key_of(source)) is not None:
            # A fork reads as well as it writes.
            caller.require("streams", "read", key)
