"""The parts of the OpenAPI document that FastAPI cannot tell from the routes."""

from typing import Any, Literal, NotRequired

from fastapi import Response
from typing_extensions import TypedDict

from eddyline.errors import BadRequest, TooLarge, UpstreamError
from eddyline.service.openapi.operation import (
    ADMISSION,
    Responses,
    event,
    problem_response,
    problems,
    ref,
    stream,
)
from eddyline.wire.sse import EVENT_STREAM
from eddyline_chat.http.message import ChatRequest
from eddyline_chat.upstreams.base import UpstreamRefused

_NOTE = "`X-Chat-Upstream: demo (simulated)` says that no model was asked. "
_CUT = "An answer that is not whole "


class Token(TypedDict):
    token: str


class Done(TypedDict):
    """The answer is whole, or as long as the model's limit allows (`length`). `usage`: the
    upstream's, where it tells one.
    """

    done: Literal[True]
    finish_reason: NotRequired[str]
    usage: NotRequired[dict[str, Any]]


class Failure(TypedDict):
    """The answer is not whole, and nothing follows."""

    error: str


class Answer(TypedDict):
    """The whole answer, or as much as the model's limit allows (`length`)."""

    response: str
    finish_reason: NotRequired[str]
    usage: NotRequired[dict[str, Any]]


def _request() -> dict[str, Any]:
    """The schema of a body; Pydantic's puts its parts where OpenAPI has no place for them."""
    schema = ChatRequest.model_json_schema()
    schema["properties"]["messages"]["items"] = schema.pop("$defs")["Turn"]
    return schema


#: The routes read their bodies themselves, with a bound.
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": _request()}},
    }
}
_EVENTS = {
    "anyOf": [
        event(ref(Token)),
        event(ref(Done)),
        event(ref(Failure), event={"const": "error"}),
    ]
}


def _responses(content: dict[str, Any]) -> Responses:
    answer = {"description": "The answer", "content": content}
    # The upstream's own statuses, where it does not take the question.
    refused: Responses = {status: problem_response(UpstreamRefused.title) for status in (404, 422)}
    errors = problems(BadRequest, TooLarge, UpstreamError)
    return {200: answer, **refused, **errors, **ADMISSION}


TEXT: dict[str, Any] = {
    "response_class": Response,
    "responses": _responses({"text/plain": {"schema": {"type": "string"}}}),
    "description": f"The answer as text, word by word. {_NOTE}{_CUT}ends as a broken connection.",
}
EVENTS: dict[str, Any] = {
    "response_class": Response,
    "response_model": Token | Done | Failure,
    "openapi_extra": _BODY,
    "responses": _responses(stream(EVENT_STREAM, _EVENTS)),
    "description": (
        'Events: `{"token": ...}` for each token, then `{"done": true}`. '
        f'{_NOTE}{_CUT}ends with `event: error` and `{{"error": ...}}`, without `done`.'
    ),
}
WHOLE: dict[str, Any] = {
    "response_class": Response,
    "response_model": Answer,
    "openapi_extra": _BODY,
    "responses": _responses({"application/json": {"schema": ref(Answer)}}),
    "description": f"The answer when all of it is there. {_NOTE}{_CUT}is an error.",
}
