"""The parts of the OpenAPI document that FastAPI cannot tell from the routes."""

from typing import Any, Literal

from fastapi import Response
from typing_extensions import TypedDict

from eddyline.errors import BadRequest, TooLarge, UpstreamError
from eddyline.service.openapi.operation import ADMISSION, Responses, event, problems, ref, stream
from eddyline.wire.sse import EVENT_STREAM
from eddyline_chat.http.message import ChatRequest

_NOTE = "`X-Chat-Upstream: demo (simulated)` says that no model was asked. "
_CUT = "An answer that is not whole "


class Token(TypedDict):
    token: str


class Done(TypedDict):
    """The answer is whole."""

    done: Literal[True]


class Failure(TypedDict):
    """The answer is not whole, and nothing follows."""

    error: str


class Answer(TypedDict):
    response: str


#: The routes read their bodies themselves, with a bound.
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": ChatRequest.model_json_schema()}},
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
    return {200: answer, **problems(BadRequest, TooLarge, UpstreamError), **ADMISSION}


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
