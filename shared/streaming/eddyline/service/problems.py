"""The one place where an error becomes an HTTP answer: RFC 9457 problem+json."""

import math
import random
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from typing_extensions import TypedDict

from eddyline.errors import StreamingError, Unavailable
from eddyline.telemetry import metrics
from eddyline.wire.sse import EVENT_STREAM, STREAM_HEADERS, retry_frame

#: One bad list must not become an answer of megabytes.
MAX_FAULTS = 10


class Problem(TypedDict):
    """The document of an error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str


def problem(
    request: Request, status: int, title: str, detail: str, headers: dict[str, str] | None = None
) -> Response:
    """A problem document; `instance` is the request's id, which the log has too."""
    metrics.problems.labels(status).inc()
    # A detail may name a file whose name is not UTF-8: Python spells it by half surrogate pairs.
    body: Problem = {
        "type": "about:blank",
        "title": _utf8(title),
        "status": status,
        "detail": _utf8(detail),
        "instance": f"urn:request:{request.scope.get('request_id', '-')}",
    }
    return Response(
        orjson.dumps(body), status, headers=headers, media_type="application/problem+json"
    )


def soft_refusal(retry_after: float) -> Response:
    """200, a jittered `retry:` and the end: any error status silences an EventSource for good."""
    metrics.soft_refusals.inc()
    milliseconds = int(1000 * min(30.0, max(2.0, retry_after * random.uniform(0.5, 1.5))))
    return Response(retry_frame(milliseconds), headers=STREAM_HEADERS, media_type=EVENT_STREAM)


def wants_event_stream(request: Request) -> bool:
    return EVENT_STREAM in request.headers.get("accept", "").lower()


async def on_streaming_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, StreamingError)
    if error.status == 500:
        raise error  # not meant for a client: its text may name what is inside
    headers: dict[str, str] = {}
    if isinstance(error, Unavailable):
        if request.method == "GET" and wants_event_stream(request):
            return soft_refusal(error.retry_after)
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="eddyline"'
    return problem(request, error.status, error.title, error.detail, headers)


async def on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = str(error.detail)
    if error.status_code == 404 and detail == "Not Found":
        # Not `request.url`: that is made of the Host header, and spells the path its own way.
        detail = f"there is nothing at {_short(request.scope['path'])}"
    title = "Not found" if error.status_code == 404 else str(error.detail)
    return problem(request, error.status_code, title, detail, dict(error.headers or {}))


async def on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    faults = [
        f"{'.'.join(str(part) for part in e['loc'])[:200]}: {e['msg']}"
        f" (got {_short(e.get('input'))})"
        for e in found[:MAX_FAULTS]
    ]
    if len(found) > MAX_FAULTS:
        faults.append(f"and {len(found) - MAX_FAULTS} more")
    return problem(request, 422, "Bad request", "; ".join(faults))


async def on_crash(request: Request, error: Exception) -> Response:
    """The cause goes to the log, never to the client."""
    return problem(request, 500, "Internal error", "the server failed; its log has the cause")


def _utf8(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def _short(value: Any, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[:limit] + "…"


def install(app: FastAPI) -> None:
    app.add_exception_handler(StreamingError, on_streaming_error)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(RequestValidationError, on_validation_error)
    app.add_exception_handler(Exception, on_crash)
