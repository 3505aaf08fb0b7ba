"""Routes whose endpoint takes the bare request: FastAPI documents them, and does no more."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute


class BareRoute(APIRoute):
    """For `add_api_route(..., route_class_override=BareRoute)`: hot routes of `async def`s.

    Nothing is parsed, no dependency is solved and what is returned must be a Response; parameters
    are documented by `openapi_extra`.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return self.endpoint
