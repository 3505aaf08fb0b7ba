"""The streams of one store under one path, as an ASGI app: `app.mount("/streams", …)`."""

import re
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from eddyline.durable.headers import refusal
from eddyline.durable.reader import Admission, Reader, ReadPolicy
from eddyline.durable.store_source import open_source
from eddyline.durable.writing.writer import Writer
from eddyline.errors import BadRequest, StreamingError
from eddyline.produce.stream_feeds import StreamFeeds
from eddyline.store.base import StreamStore

#: Bytes of a stream's path.
MOST_PATH = 1024

_UNSAFE = re.compile(r"[\x00-\x1f\x7f]|(?:^|/)\.{1,2}(?:/|\Z)")


class DurableStreams:
    """Speaks Durable Streams for the streams of a store; without a `writer` they are read-only.

    `feeds` follow the same store, with `store_source.entry` as their `render`.
    """

    def __init__(
        self,
        store: StreamStore,
        feeds: StreamFeeds,
        policy: ReadPolicy,
        writer: Writer | None = None,
    ) -> None:
        self._store = store
        self._feeds = feeds
        self._reader = Reader(policy)
        self._writer = writer

    async def respond(self, request: Request, key: str, admission: Admission) -> Response:
        """The answer to any request for the stream `key`, an error's included."""
        try:
            check_key(key)
            return await self._respond(request, key, admission)
        except StreamingError as error:
            return refusal(request, error)

    async def _respond(self, request: Request, key: str, admission: Admission) -> Response:
        method, writer = request.method, self._writer
        if method in ("GET", "HEAD"):
            source = await open_source(self._store, self._feeds, key)
            if method == "HEAD":
                return await self._reader.head(source)
            return await self._reader.get(request, source, admission)
        if writer is not None and method == "PUT":
            return await writer.create(request, key)
        if writer is not None and method == "POST":
            return await writer.append(request, key)
        if writer is not None and method == "DELETE":
            return await writer.delete(key)
        return not_allowed(request, "GET, HEAD" + (", PUT, POST, DELETE" if writer else ""))


class Mounted:
    """An ASGI app that finds the streams anew for each request: they live as long as their hub."""

    def __init__(self, find: Callable[[], tuple[DurableStreams, Admission]]) -> None:
        self._find = find

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError("streams are read by HTTP alone")
        request = Request(scope, receive, send)
        streams, admission = self._find()
        key = scope["path"].removeprefix(scope.get("root_path", "")).removeprefix("/")
        response = await streams.respond(request, key, admission)
        await response(scope, receive, send)


def check_key(key: str) -> None:
    """Raises BadRequest for a path that cannot name a stream."""
    if not key or len(key.encode()) > MOST_PATH or _UNSAFE.search(key):
        text = f"a path of 1 to {MOST_PATH} bytes, without control characters or dots as a folder"
        raise BadRequest(f"{key[:80]!r} is no path of a stream: expected {text}")


def not_allowed(request: Request, allowed: str) -> Response:
    """405: the stream is written by others, or not by this method."""
    detail = f"this stream takes {allowed}, not {request.method}"
    return refusal(request, _NotAllowed(detail), {"Allow": allowed})


class _NotAllowed(StreamingError):
    status = 405
    title = "Method not allowed"
