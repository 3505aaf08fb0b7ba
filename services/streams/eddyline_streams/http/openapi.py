"""The OpenAPI of Durable Streams. Its routes are raw: FastAPI cannot tell it from them."""

from typing import Any

from fastapi import Response, Security

from eddyline.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    Gone,
    NotFound,
    StreamingError,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from eddyline.service.openapi.operation import ADMISSION, BEARER, parameter, problems

_TEXT = {"type": "string"}
_WHOLE = {"type": "integer", "minimum": 0}
_PATH = parameter("path", _TEXT, "The path of the stream.", "path", required=True)
_TYPE = parameter("Content-Type", _TEXT, "The stream's content type.", "header")
_CLOSED = parameter("Stream-Closed", _TEXT, "`true`: nothing will follow.", "header")

_PLACE = {
    "Stream-Next-Offset": {"schema": _TEXT, "description": "The offset after the data."},
    "Stream-Closed": {"schema": _TEXT, "description": "`true`: the end, for good."},
}
_READ = _PLACE | {
    "Stream-Up-To-Date": {"schema": _TEXT, "description": "`true`: there is no more now."},
    "Stream-Cursor": {"schema": _TEXT, "description": "To echo as `cursor`."},
}

#: The content type of a stream is its own.
_ANY = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}

Operation = dict[str, Any]


def _operation(
    answers: dict[int, str],
    headers: Any,
    *parameters: Any,
    errors: tuple[type[StreamingError], ...] = (),
) -> Operation:
    described = {
        code: {"description": text, "headers": headers, "content": _ANY}
        for code, text in answers.items()
    }
    return {
        "dependencies": [Security(BEARER)],
        "response_class": Response,
        "status_code": min(answers),
        "responses": {**described, **ADMISSION, **problems(BadRequest, NotFound, Gone, *errors)},
        "openapi_extra": {"parameters": [_PATH, *parameters]},
    }


_JSON = {"application/json": {"schema": {"type": "object"}}}
_REFUSALS = (BadRequest, Unauthorized, Forbidden, NotFound, Conflict, TooLarge, Unavailable)

#: Of each route of subscriptions: its answers, and refusals with a code for programs.
SUBSCRIPTION: Operation = {
    "response_class": Response,
    "responses": {
        201: {"description": "Made", "content": _JSON},
        200: {
            "description": "Done",
            "content": {**_JSON, "application/jwk-set+json": {"schema": {"type": "object"}}},
        },
        204: {"description": "Done"},
        **{
            error.status: {
                "description": error.title,
                "content": {**_JSON, **response["content"]},
            }
            for error, response in ((error, problems(error)[error.status]) for error in _REFUSALS)
        },
    },
}

OPERATIONS: dict[str, Operation] = {
    "GET": _operation(
        {200: "Data after the offset", 204: "None came in time", 304: "As the client has it"},
        _READ,
        parameter("offset", _TEXT, "`-1`: the beginning; `now`: the end; or one of an answer."),
        parameter("live", {"enum": ["long-poll", "sse"]}, "Waits for data that comes."),
        parameter("cursor", _TEXT, "The `Stream-Cursor` of the last answer."),
        parameter("If-None-Match", _TEXT, "The `ETag` that the client has.", "header"),
    ),
    "HEAD": _operation({200: "The state of the stream"}, _PLACE),
    "PUT": _operation(
        {201: "Made", 200: "It is there, and alike"},
        _PLACE,
        _TYPE,
        _CLOSED,
        parameter("Stream-TTL", _WHOLE, "Seconds without a use after which it goes.", "header"),
        parameter("Stream-Expires-At", _TEXT, "When it goes (RFC 3339).", "header"),
        parameter("Stream-Forked-From", _TEXT, "The path of a source.", "header"),
        parameter("Stream-Fork-Offset", _TEXT, "Where the fork leaves its source.", "header"),
        parameter("Stream-Fork-Sub-Offset", _WHOLE, "Bytes or messages after that.", "header"),
        errors=(Conflict, TooLarge),
    ),
    "POST": _operation(
        {204: "Appended", 200: "Appended, by an idempotent producer"},
        _PLACE,
        _TYPE,
        _CLOSED,
        parameter("Stream-Seq", _TEXT, "Greater, byte by byte, than the last one.", "header"),
        parameter("Producer-Id", _TEXT, "The name of an idempotent producer.", "header"),
        parameter("Producer-Epoch", _WHOLE, "Counts its starts.", "header"),
        parameter("Producer-Seq", _WHOLE, "Counts its writes since.", "header"),
        errors=(Conflict, Forbidden, TooLarge),
    ),
    "DELETE": _operation({204: "Deleted"}, {}),
}
