"""The response in place of a stream that is refused: a problem document, or a soft refusal."""

import math
import random
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from eddyline.errors import StreamingError, Unauthorized, Unavailable
from eddyline.wire.sse import EVENT_STREAM, STREAM_HEADERS, retry_frame


def refusal(request: Request, error: StreamingError) -> Response:
    """The answer to a request that `error` has ended, in any Starlette app.

    An EventSource that cannot be served now gets a soft refusal, any other client a problem
    document with `Retry-After`. Raises `error` where its status is 500: such a text is not meant
    for clients.
    """
    if error.status == 500:
        raise error
    if isinstance(error, Unavailable) and request.method == "GET" and wants_event_stream(request):
        return soft_refusal(error.retry_after)
    headers = headers_of(error)
    return problem_document(request, error.status, error.title, error.detail, headers)


def headers_of(error: StreamingError) -> dict[str, str]:
    """The headers that go with the status of an error."""
    headers: dict[str, str] = {}
    if isinstance(error, Unavailable):
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = error.challenge
    return headers


def problem_document(
    request: Request, status: int, title: str, detail: str, headers: dict[str, str] | None = None
) -> Response:
    """A problem (RFC 9457); `instance` is the id of the request, which the log has too."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": f"urn:request:{request.scope.get('request_id', '-')}",
    }
    # A detail may name a file whose name is not UTF-8: Python spells it by half surrogate pairs.
    body = {k: _utf8(v) if isinstance(v, str) else v for k, v in body.items()}
    return Response(
        orjson.dumps(body), status, headers=headers, media_type="application/problem+json"
    )


def soft_refusal(retry_after: float) -> Response:
    """200, a jittered `retry:` and the end: any error status silences an EventSource for good."""
    milliseconds = int(1000 * min(30.0, max(2.0, retry_after * random.uniform(0.5, 1.5))))
    return Response(retry_frame(milliseconds), headers=STREAM_HEADERS, media_type=EVENT_STREAM)


def wants_event_stream(request: Request) -> bool:
    """Whether the client says that it takes server-sent events, as an EventSource does."""
    return EVENT_STREAM in request.headers.get("accept", "").lower()


def _utf8(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
