"""The parts of the OpenAPI document that FastAPI cannot tell from the routes."""

from typing import Any

from fastapi import Response

from eddyline_chat.http.message import ChatRequest

_NOTE = "`X-Chat-Upstream: demo (simulated)` says that no model was asked. "
_CUT = "An answer that is not whole "

#: The routes read their bodies themselves, with a bound.
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": ChatRequest.model_json_schema()}},
    }
}


def _content(media_type: str, schema: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {200: {"description": "The answer", "content": {media_type: {"schema": schema}}}}


TEXT: dict[str, Any] = {
    "response_class": Response,
    "responses": _content("text/plain", {"type": "string"}),
    "description": f"The answer as text, word by word. {_NOTE}{_CUT}ends as a broken connection.",
}
EVENTS: dict[str, Any] = {
    "response_class": Response,
    "openapi_extra": _BODY,
    "responses": _content("text/event-stream", {"type": "string"}),
    "description": (
        'Events: `{"token": ...}` for each token, then `{"done": true}`. '
        f'{_NOTE}{_CUT}ends with `event: error` and `{{"error": ...}}`, without `done`.'
    ),
}
WHOLE: dict[str, Any] = {
    "response_class": Response,
    "openapi_extra": _BODY,
    "responses": _content(
        "application/json", {"type": "object", "properties": {"response": {"type": "string"}}}
    ),
    "description": f"The answer when all of it is there. {_NOTE}{_CUT}is an error.",
}
