"""The parts of the OpenAPI document for the AI SDK's routes."""

from typing import Any

from fastapi import Response

from eddyline.errors import BadRequest, NotFound, TooLarge, UpstreamError
from eddyline.service.openapi.operation import ADMISSION, Schema, event, problems, stream
from eddyline.wire.sse import EVENT_STREAM

_PART: Schema = {
    "type": "object",
    "required": ["type"],
    "properties": {"type": {"type": "string"}},
}
_REQUEST: Schema = {
    "type": "object",
    "required": ["id", "messages"],
    "properties": {
        "id": {"type": "string"},
        "messages": {"type": "array", "minItems": 1, "items": {"type": "object"}},
    },
    "additionalProperties": True,
}
_STREAM = {
    "description": "The AI SDK's UI message stream",
    "content": stream(EVENT_STREAM, event(_PART)),
}

ASK: dict[str, Any] = {
    "response_class": Response,
    "openapi_extra": {
        "requestBody": {"required": True, "content": {"application/json": {"schema": _REQUEST}}}
    },
    "responses": {
        200: _STREAM,
        **problems(BadRequest, NotFound, TooLarge, UpstreamError),
        422: problems(BadRequest)[400],
        **ADMISSION,
    },
    "description": "An answer for `useChat` of the AI SDK, in its UI message stream.",
}
RESUME: dict[str, Any] = {
    "response_class": Response,
    "responses": {
        200: _STREAM,
        204: {"description": "No answer is being made in this conversation"},
        **problems(BadRequest, NotFound),
        **ADMISSION,
    },
    "description": "The answer that is being made in a conversation, from its start.",
}
