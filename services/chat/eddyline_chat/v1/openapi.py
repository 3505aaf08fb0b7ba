"""The parts of the OpenAPI document for OpenAI's routes. Their bodies are OpenAI's: its published
document describes them in full.
"""

from typing import Any

from fastapi import Response
from typing_extensions import TypedDict

from eddyline.errors import (
    BadRequest,
    Forbidden,
    NotFound,
    Overloaded,
    StreamingError,
    TooLarge,
    Unauthorized,
    Unavailable,
    UpstreamError,
)
from eddyline.service.openapi.operation import Responses, Schema, event, ref, stream
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


def _errors(*errors: type[StreamingError]) -> Responses:
    every: tuple[type[StreamingError], ...] = (*errors, Unauthorized, Forbidden, Unavailable)
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
    "responses": _ANSWER | _errors(BadRequest, NotFound, TooLarge, UpstreamError, Overloaded),
    "description": (
        "OpenAI's API: its clients work with this service's URL and `/v1`. All fields go to the "
        "upstream, and its chunks come back as it wrote them. A stream that fails ends with "
        '`data: {"error": …}` and never looks whole.'
    ),
}
MODELS: dict[str, Any] = {
    "response_class": Response,
    "response_model": ModelList | OpenAIError,
    "responses": _answer("The models", ModelList) | _errors(BadRequest),
    "description": "The models that can be asked.",
}
MODEL: dict[str, Any] = {
    "response_class": Response,
    "response_model": ModelObject | OpenAIError,
    "responses": _answer("The model", ModelObject) | _errors(BadRequest, NotFound),
    "description": "One model.",
}
