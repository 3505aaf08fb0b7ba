"""The parts of the OpenAPI document for OpenAI's routes. Their bodies are OpenAI's: its published
document describes them in full.
"""

from typing import Any

from fastapi import Response
from typing_extensions import TypedDict

from eddyline.errors import (
    BadRequest,
    Forbidden,
    Gone,
    NotFound,
    Overloaded,
    StreamingError,
    TooLarge,
    Unauthorized,
    Unavailable,
    UpstreamError,
)
from eddyline.service.openapi.operation import Responses, Schema, event, parameter, ref, stream
from eddyline.wire.sse import EVENT_STREAM


class ErrorDetail(TypedDict):
    """The four keys that OpenAI's clients ask for."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIError(TypedDict):
    """The form of errors in OpenAI's API."""

    error: ErrorDetail


class Generation(TypedDict):
    """An answer. `status`: `in_progress`, `completed`, `failed` or `cancelled`."""

    id: str
    object: str
    status: str
    text: str
    finish_reason: str | None
    usage: dict[str, Any] | None
    error: ErrorDetail | None


class ModelObject(TypedDict):
    """A model that can be asked."""

    id: str
    object: str
    created: int
    owned_by: str


class ModelList(TypedDict):
    object: str
    data: list[ModelObject]


_COMPLETION: Schema = {
    "type": "object",
    "required": ["choices"],
    "properties": {
        "id": {"type": "string"},
        "object": {"type": "string"},
        "created": {"type": "integer"},
        "model": {"type": "string"},
        "choices": {"type": "array", "items": {"type": "object"}},
        "usage": {"type": ["object", "null"]},
    },
}
_REQUEST: Schema = {
    "type": "object",
    "required": ["model", "messages"],
    "properties": {
        "model": {"type": "string"},
        "messages": {"type": "array", "minItems": 1, "items": {"type": "object"}},
        "stream": {"type": "boolean", "default": False},
        "stream_options": {"type": "object"},
    },
    "additionalProperties": True,
}


def errors(*own: type[StreamingError]) -> Responses:
    """The error objects that a route answers with."""
    every: tuple[type[StreamingError], ...] = (*own, Unauthorized, Forbidden, Unavailable)
    content = {"application/json": {"schema": ref(OpenAIError)}}
    return {error.status: {"description": error.title, "content": content} for error in every}


def _answer(description: str, model: type) -> Responses:
    content = {"application/json": {"schema": ref(model)}}
    return {200: {"description": description, "content": content}}


_BOTH = {"application/json": {"schema": _COMPLETION}, **stream(EVENT_STREAM, event(_COMPLETION))}
_ANSWER: Responses = {
    200: {"description": "The answer; server-sent events where `stream` is true", "content": _BOTH},
    422: {
        "description": "Upstream refused",
        "content": {"application/json": {"schema": ref(OpenAIError)}},
    },
}

COMPLETIONS: dict[str, Any] = {
    "response_class": Response,
    "response_model": OpenAIError,
    "openapi_extra": {
        "requestBody": {"required": True, "content": {"application/json": {"schema": _REQUEST}}}
    },
    "responses": _ANSWER | errors(BadRequest, NotFound, TooLarge, UpstreamError, Overloaded),
    "description": (
        "OpenAI's API: its clients work with this service's URL and `/v1`. All fields go to the "
        "upstream, and its chunks come back as it wrote them. A stream that fails ends with "
        '`data: {"error": …}` and never looks whole.'
    ),
}
_KEPT = errors(BadRequest, NotFound)
GENERATION: dict[str, Any] = {
    "response_class": Response,
    "response_model": Generation | OpenAIError,
    "responses": _answer("The answer", Generation) | _KEPT,
    "description": "The status of an answer, and its text so far. Its id: `X-Generation-Id`.",
}
CANCEL: dict[str, Any] = {
    **GENERATION,
    "description": "Ends an answer, wherever it is made; one that has ended stays as it is.",
}
GENERATION_EVENTS: dict[str, Any] = {
    "response_class": Response,
    "response_model": OpenAIError,
    "openapi_extra": {
        "parameters": [
            parameter("after", {"type": "string"}, "The id of an event: those after it come."),
            parameter("Last-Event-ID", {"type": "string"}, "Goes before `after`.", "header"),
        ]
    },
    "responses": {
        200: {
            "description": "The chunks of the answer, each with an id",
            "content": stream(EVENT_STREAM, event(_COMPLETION)),
        },
        204: {"description": "There is no more, and will be none"},
        **_KEPT,
        **errors(Gone, Overloaded),
    },
    "description": (
        "An answer again: from its first chunk, or from the one after `Last-Event-ID`, while it "
        "is made and afterwards, in any process."
    ),
}
MODELS: dict[str, Any] = {
    "response_class": Response,
    "response_model": ModelList | OpenAIError,
    "responses": _answer("The models", ModelList) | errors(BadRequest),
    "description": "The models that can be asked.",
}
MODEL: dict[str, Any] = {
    "response_class": Response,
    "response_model": ModelObject | OpenAIError,
    "responses": _answer("The model", ModelObject) | errors(BadRequest, NotFound),
    "description": "One model.",
}
