"""CORS: which pages of other origins may read the answers (WHATWG fetch)."""

import functools
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "QUERY")
ALLOWED = (
    "authorization",
    "cache-control",
    "content-type",
    "idempotency-key",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-event-id",
    "prefer",
    "producer-epoch",
    "producer-id",
    "producer-seq",
    "range",
    "stream-closed",
    "stream-expires-at",
    "stream-fork-offset",
    "stream-fork-sub-offset",
    "stream-forked-from",
    "stream-seq",
    "stream-ttl",
    "want-content-digest",
    "want-repr-digest",
    "x-request-id",
)
EXPOSED = (
    "Accept-Ranges",
    "Content-Digest",
    "Content-Disposition",
    "Content-Length",
    "Content-Range",
    "ETag",
    "Eddyline-Subscriber",
    "Idempotent-Replayed",
    "Last-Event-ID",
    "Link",
    "Location",
    "Mercure-Last-Event-ID",
    "Preference-Applied",
    "Producer-Epoch",
    "Producer-Expected-Seq",
    "Producer-Received-Seq",
    "Producer-Seq",
    "Repr-Digest",
    "Retry-After",
    "Stream-Closed",
    "Stream-Cursor",
    "Stream-Expires-At",
    "Stream-Next-Offset",
    "Stream-SSE-Data-Encoding",
    "Stream-TTL",
    "Stream-Up-To-Date",
    "WWW-Authenticate",
    "X-Chat-Upstream",
    "X-Checksum-Sha256",
    "X-Dataset-Version",
    "X-Request-ID",
    "X-Row-Count",
    "X-Row-Count-Estimate",
    "X-Snapshot",
    "X-Stream-Exception-Tag",
)

#: Seconds for which a browser need not ask again; some browsers take less.
MAX_AGE = 7200


class Cors:
    """Middleware: Starlette's CORS, with cookies for listed origins alone.

    Starlette decides about cookies for all origins at once. So there are two of its middlewares
    here, and the request's origin chooses. Both add `Vary: Origin` to every answer: a cache must
    not give one origin's answer to another.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        """`origins` as browsers send them, `https://example.com`; `*` is any, without cookies."""
        cors = functools.partial(
            CORSMiddleware,
            app,
            allow_methods=METHODS,
            allow_headers=ALLOWED,
            expose_headers=EXPOSED,
            max_age=MAX_AGE,
        )
        self._listed = frozenset(origins) - {"*"}
        self._with_cookies = cors(allow_origins=self._listed, allow_credentials=True)
        self._without_cookies = cors(allow_origins=["*"] if "*" in origins else [])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        listed = scope["type"] == "http" and Headers(scope=scope).get("origin") in self._listed
        await (self._with_cookies if listed else self._without_cookies)(scope, receive, send)
