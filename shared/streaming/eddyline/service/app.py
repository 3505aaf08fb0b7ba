"""Every service's FastAPI starts here: health, metrics, problems, request ids, logs, lifespan."""

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import TypedDict

from eddyline.auth.authenticator import Authenticator
from eddyline.auth.base import TokenVerifier
from eddyline.errors import Forbidden, SettingsError, StreamingError
from eddyline.service import problems
from eddyline.service.access import authenticator_from_settings
from eddyline.service.admission import Limits, Permit, StreamContext
from eddyline.service.browser import docs
from eddyline.service.browser.cors import Cors
from eddyline.service.drain import Drain
from eddyline.service.openapi import document
from eddyline.service.openapi.operation import PUBLIC
from eddyline.service.openapi.operation import problems as problems_of
from eddyline.service.openapi.parameters import refuse_unknown
from eddyline.service.raw_route import RawRoute, RawRoutes
from eddyline.service.settings import Settings, exit_on_bad_settings
from eddyline.tasks import background
from eddyline.telemetry import logs as jsonlog
from eddyline.telemetry import metrics, tracing
from eddyline.telemetry import process as process_metrics
from eddyline.telemetry.base import StreamMeter

#: Returns why the service may not take new streams, or None.
Readiness = Callable[[], str | None]

_log = logging.getLogger("eddyline")


@dataclass(frozen=True)
class Context:
    """The single objects of a process, shared by all services in it."""

    settings: Settings
    drain: Drain
    limits: Limits
    authenticator: Authenticator

    @classmethod
    def from_settings(cls, settings: Settings, verifier: TokenVerifier | None = None) -> "Context":
        """Raises SettingsError. `verifier`: in place of the keys that the settings name."""
        # First, so that the warnings of the others are logged as the rest is.
        jsonlog.configure(settings.log_level)
        drain = Drain(settings.drain_notice, settings.drain_window, metrics.drain_seconds.set)
        limits = Limits(
            drain,
            streams=settings.limit_streams,
            per_principal=settings.limit_streams_per_principal,
            per_address=settings.limit_streams_per_address,
            refused=lambda limit: metrics.streams_refused.labels(limit).inc(),
            trace=tracing.stream_span,
        )
        metrics.streams_limit.set(settings.limit_streams)
        return cls(settings, drain, limits, authenticator_from_settings(settings, verifier))

    def stream(
        self, meter: StreamMeter, permit: Permit, expires: float | None = None
    ) -> StreamContext:
        """The conditions of one body; `expires`: the end of the token, in Unix seconds."""
        return StreamContext(self.settings.policy, self.drain, meter, permit, expires)


@dataclass(frozen=True)
class Service:
    """A service as `create_app` takes it: routes, background tasks, whether it is ready, and the
    form of its errors where they are no problem documents.
    """

    name: str
    router: APIRouter
    lifespan: Callable[[], AbstractAsyncContextManager[None]] | None = None
    ready: Readiness = field(default=lambda: None)
    errors: problems.ErrorForm | None = None


def create_app(context: Context, services: Sequence[Service], title: str) -> FastAPI:
    """One app of one or more services; the server drains `app.state.context`."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(background(process_metrics.watch()))
            try:
                for service in services:
                    if service.lifespan is not None:
                        await stack.enter_async_context(service.lifespan())
            except StreamingError as error:
                # In a line of its own: the server logs a traceback.
                _log.critical("it can't start: %s", error.detail)
                raise
            yield

    routes = [route for s in services for route in problems.every_route(s.router.routes)]
    app = _App(
        raw_routes=[route for route in routes if isinstance(route, RawRoute)],
        origins=context.settings.cors_origins,
        title=title,
        version=version("eddyline"),
        lifespan=lifespan,
        dependencies=[Depends(refuse_unknown)],
        docs_url=None,
        redoc_url=None,
        # Exporters come from the variables of OpenTelemetry, where its SDK is installed.
        telemetry={"exclude": tracing.untraced, "auto_configure": True},
        generate_unique_id_function=document.operation_id,
    )
    app.state.context = context
    app.state.error_forms = [service.errors for service in services if service.errors is not None]
    problems.install(app)
    document.install(app)
    # Services first: each route that a request is matched against in vain costs it time.
    for service in services:
        app.include_router(service.router, tags=[service.name])
    app.include_router(_operations(context, services))
    docs.install(app)
    return app


class _App(FastAPI):
    """FastAPI with layers of ours outside of all of its own: raw routes pass through none of those,
    which would be a fifth of the cost of a subscriber (profiled).
    """

    def __init__(
        self, *, raw_routes: Sequence[RawRoute], origins: Sequence[str], **options: Any
    ) -> None:
        super().__init__(**options)
        self._raw_routes = raw_routes
        self._origins = origins

    def build_middleware_stack(self) -> ASGIApp:
        app: ASGIApp = RequestLog(RawRoutes(super().build_middleware_stack(), self._raw_routes))
        # Outermost: a page must be able to read the answer that RequestLog gives after a crash.
        return Cors(app, self._origins) if self._origins else app


def module_app(create: Callable[[], FastAPI]) -> Callable[[str], FastAPI]:
    """A service module's `__getattr__`: `app` is made when a server asks for it.

    So that importing the module reads no environment; bad settings end the process with code 3.
    """
    create_once = functools.cache(create)  # servers ask more than once

    def __getattr__(name: str) -> FastAPI:
        if name != "app":
            raise AttributeError(name)
        try:
            return create_once()
        except SettingsError as error:
            exit_on_bad_settings(error)

    return __getattr__


class Liveness(TypedDict):
    status: str


class ReadinessReport(TypedDict):
    """`faults`: by the name of a service, or `drain`."""

    status: str
    faults: dict[str, str]


def _operations(context: Context, services: Sequence[Service]) -> APIRouter:
    router = APIRouter(tags=["operations"])

    @router.get("/livez", openapi_extra=PUBLIC)
    async def livez() -> Liveness:
        """The process is alive; depends on nothing else."""
        return {"status": "alive"}

    @router.get("/readyz", responses={503: {"model": ReadinessReport}}, openapi_extra=PUBLIC)
    async def readyz(response: Response) -> ReadinessReport:
        """May take new streams; 503 while draining or while a service is not ready."""
        faults = {s.name: fault for s in services if (fault := s.ready()) is not None}
        if context.drain.draining:
            faults["drain"] = "the process is stopping"
        response.status_code = 503 if faults else 200
        return {"status": "unready" if faults else "ready", "faults": faults}

    @router.get(
        "/metrics",
        response_class=PlainTextResponse,
        responses=problems_of(Forbidden),
        openapi_extra=PUBLIC,
    )
    async def prometheus_metrics(request: Request) -> Response:
        """Prometheus text format."""
        context.authenticator.require_local(request)
        text = await asyncio.to_thread(metrics.exposition)
        return Response(text, media_type=metrics.CONTENT_TYPE)

    return router


class RequestLog:
    """Gives each request an id and logs it when its head is sent; a stream's end is counted."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        request_id = jsonlog.request_id(scope)
        scope["request_id"] = request_id
        tracing.hide_query(scope)
        started = False

        async def send_logged(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message.setdefault("headers", [])
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
                jsonlog.request(scope, message["status"])
            await send(message)

        try:
            await self.app(scope, receive, send_logged)
        except ClientDisconnect:
            # It left, or was refused, while its body was coming: that is no crash, and its log must
            # not be filled by clients.
            return
        except Exception as error:
            # A raw route: other routes' crashes are answered by Starlette, further in.
            if not started:
                answer = await problems.on_crash(Request(scope), error)
                await answer(scope, receive, send_logged)
            raise
