"""Which pages of other origins may ask: CORS by allow-list (WHATWG fetch)."""

import functools
from collections.abc import Awaitable, Callable, Sequence

from fastapi import Request, Response

from eddyline.errors import StreamingError
from eddyline.service import problems

Endpoint = Callable[[Request], Awaitable[Response]]

METHODS = "GET, HEAD, POST, DELETE, OPTIONS, QUERY"
ALLOWED = (
    "authorization, cache-control, content-type, idempotency-key, if-none-match, last-event-id,"
    " prefer"
)
EXPOSED = (
    "ETag, Idempotent-Replayed, Last-Event-ID, Link, Mercure-Last-Event-ID, Eddyline-Subscriber,"
    " Retry-After, WWW-Authenticate"
)

#: Seconds for which a browser need not ask again; more than some take.
MAX_AGE = 7200


class Cors:
    """`origins` as browsers send them, `https://example.com`; `*` is any, but without cookies."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._listed = frozenset(origins)

    @property
    def enabled(self) -> bool:
        return bool(self._listed)

    def wrap(self, endpoint: Endpoint) -> Endpoint:
        """The same endpoint; a page of an allowed origin may read its answers, errors included."""
        if not self.enabled:
            return endpoint

        @functools.wraps(endpoint)
        async def answer(request: Request) -> Response:
            try:
                response = await endpoint(request)
            except StreamingError as error:
                response = await problems.on_streaming_error(request, error)
            self._allow(request, response)
            return response

        return answer

    async def preflight(self, request: Request) -> Response:
        """204, and what is allowed to whom asks; to others nothing is."""
        response = Response(status_code=204)
        if self._allow(request, response):
            response.headers["Access-Control-Allow-Methods"] = METHODS
            response.headers["Access-Control-Allow-Headers"] = ALLOWED
            response.headers["Access-Control-Max-Age"] = str(MAX_AGE)
        return response

    def _allow(self, request: Request, response: Response) -> bool:
        headers = response.headers
        # A cache must not give one origin's answer to another.
        headers.add_vary_header("Origin")
        origin = request.headers.get("origin")
        if origin is None:
            return False
        if origin in self._listed:
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Allow-Credentials"] = "true"
        elif "*" in self._listed:
            headers["Access-Control-Allow-Origin"] = "*"
        else:
            return False
        headers["Access-Control-Expose-Headers"] = EXPOSED
        return True
