"""Routes whose endpoint takes the raw request: FastAPI documents them, and does no more.

Its middleware, its matching and its parsing cost three times as much as sending a small file.
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from eddyline.errors import StreamingError
from eddyline.service import problems
from eddyline.service.openapi.parameters import ANY, Parameters
from eddyline.telemetry import tracing


class RawRoute(APIRoute):
    """For `add_api_route(..., route_class_override=RawRoute)`: hot routes of `async def`s.

    Nothing is parsed, no dependency is solved and the result must be a Response; parameters
    are documented by `openapi_extra`, and others refused. `RawRoutes` puts it before every other
    route.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.parameters: Parameters = Parameters.of(self)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return self.endpoint


class ProtocolRoute(RawRoute):
    """A raw route of a protocol whose servers pass over parameters that they do not know."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.parameters = ANY


class RawRoutes:
    """Middleware that answers raw routes itself, and passes all other requests on."""

    def __init__(self, app: ASGIApp, routes: Sequence[RawRoute]) -> None:
        self._app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        for route in self._routes if scope["type"] == "http" else ():
            match, found = route.matches(scope)
            if match is Match.FULL:
                scope.update(found)
                tracing.name_route(scope, route.path_format)
                request = Request(scope, receive, send)
                response = await _response(route, request)
                return await response(scope, receive, send)
        await self._app(scope, receive, send)


async def _response(route: RawRoute, request: Request) -> Response:
    # FastAPI's handlers are further in. A crash goes out to `RequestLog`, and is logged.
    try:
        route.parameters.check(request)
        response: Response = await route.endpoint(request)
    except StreamingError as error:
        return await problems.on_streaming_error(request, error)
    except HTTPException as error:
        return await problems.on_http_exception(request, error)
    return response
