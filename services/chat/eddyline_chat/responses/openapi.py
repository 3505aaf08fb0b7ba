"""The parts of the OpenAPI document for OpenAI's Responses API."""

from typing import Any

from fastapi import Response

from eddyline.errors import BadRequest, NotFound, Overloaded, TooLarge, UpstreamError
from eddyline.service.openapi.operation import Schema, event, parameter, stream
from eddyline.service.openapi.parameters import ALIASES
from eddyline.wire.sse import EVENT_STREAM
from eddyline_chat.v1.openapi import OpenAIError, errors

_RESPONSE: Schema = {
    "type": "object",
    "required": ["id", "object", "status"],
    "properties": {
        "id": {"type": "string"},
        "object": {"type": "string", "const": "response"},
        "status": {"type": "string"},
        "output": {"type": "array", "items": {"type": "object"}},
    },
}
_EVENT: Schema = {
    "type": "object",
    "required": ["type", "sequence_number"],
    "properties": {"type": {"type": "string"}, "sequence_number": {"type": "integer"}},
}
_REQUEST: Schema = {
    "type": "object",
    "required": ["model", "input"],
    "properties": {
        "model": {"type": "string"},
        "input": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}]},
        "instructions": {"type": ["string", "null"]},
        "stream": {"type": "boolean", "default": False},
        "background": {"type": "boolean", "default": False},
    },
}
_TEXTS = {"type": "array", "items": {"type": "string"}}
_JSON = {"application/json": {"schema": _RESPONSE}}
_BOTH = {**_JSON, **stream(EVENT_STREAM, event(_EVENT))}

CREATE: dict[str, Any] = {
    "response_class": Response,
    "response_model": OpenAIError,
    "openapi_extra": {
        "requestBody": {"required": True, "content": {"application/json": {"schema": _REQUEST}}}
    },
    "responses": {
        200: {"description": "The response; server-sent events with `stream`", "content": _BOTH},
        **errors(BadRequest, NotFound, TooLarge, UpstreamError, Overloaded),
        422: errors(BadRequest)[400],
    },
    "description": (
        "OpenAI's Responses API over the chat upstream. With `background` a response outlives its "
        "connection; each event has a number to start after."
    ),
}
READ: dict[str, Any] = {
    "response_class": Response,
    "response_model": OpenAIError,
    "openapi_extra": {
        "parameters": [
            parameter("stream", {"type": "boolean"}, "The events, in place of the object."),
            parameter("starting_after", {"type": "integer"}, "The events after this number."),
            # The official clients write an array's name with brackets behind it.
            parameter("include", _TEXTS, "Taken, as clients send it; nothing more is kept.")
            | {ALIASES: ["include[]"]},
            parameter("include_obfuscation", {"type": "boolean"}, "Taken; events have none."),
        ]
    },
    "responses": {
        200: {"description": "The response, as far as it has come", "content": _BOTH},
        **errors(BadRequest, NotFound, Overloaded),
    },
    "description": "A response, or its events again; `Last-Event-ID` is `starting_after`.",
}
STOP: dict[str, Any] = {
    "response_class": Response,
    "response_model": OpenAIError,
    "responses": {
        200: {"description": "The response", "content": _JSON},
        **errors(BadRequest, NotFound),
    },
    "description": "Ends a response, wherever it is made; twice does no harm.",
}
