"""OpenAI's error object, whose four keys its clients ask for ("Error codes" in its guides)."""

from typing import Any

import orjson
from fastapi import Response

from eddyline.errors import StreamingError, Unavailable
from eddyline_chat.upstreams.base import UpstreamRefused

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}

#: Paths of another protocol (Durable Streams) that begin as OpenAI's do.
_OTHERS = ("/v1/stream/", "/v1/streams")


class OpenAIErrors:
    """The errors of `/v1`, whose clients show nothing of a problem document's text."""

    def speaks(self, path: str) -> bool:
        return path.startswith("/v1/") and not path.startswith(_OTHERS)

    def response(
        self, status: int, detail: str, headers: dict[str, str], error: StreamingError | None
    ) -> Response:
        headers = dict(headers)
        if isinstance(error, Unavailable):
            # The clients of OpenAI read it before Retry-After, which has whole seconds.
            headers["Retry-After-Ms"] = str(round(1000 * error.retry_after))
        if isinstance(error, UpstreamRefused):
            # They ask again after any 429; but no waiting helps an account that is spent.
            headers["X-Should-Retry"] = "false"
        body = orjson.dumps(error_object(status, detail, code_of(error)))
        return Response(body, status, headers, media_type="application/json")


def error_object(status: int, detail: str, code: str | None, param: str | None = None) -> Any:
    """The object of an error: `{"error": {"message", "type", "param", "code"}}`."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    message = detail.encode(errors="backslashreplace").decode()
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def code_of(error: StreamingError | None) -> str | None:
    """OpenAI's code for an error, where it has one."""
    code: str | None = getattr(error, "code", None)
    if code is None and error is not None and error.status == 401:
        return "invalid_api_key"
    return code
