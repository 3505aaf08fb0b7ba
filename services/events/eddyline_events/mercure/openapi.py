"""The OpenAPI of the Mercure protocol. Its routes are raw: FastAPI cannot tell it from them."""

from typing import Any, NotRequired

from fastapi import Response, Security
from fastapi.responses import PlainTextResponse
from fastapi.security import APIKeyCookie, APIKeyQuery
from typing_extensions import TypedDict

from eddyline.errors import BadRequest, NotFound, TooLarge, UnsupportedMediaType
from eddyline.service.openapi.operation import (
    ADMISSION,
    BEARER,
    PUBLIC,
    event,
    parameter,
    problems,
    stream,
)
from eddyline.wire.sse import EVENT_STREAM
from eddyline_events.mercure.auth.authenticator import COOKIE, COOKIE_0X
from eddyline_events.mercure.form import FORM
from eddyline_events.mercure.request import MAX_MATCHERS
from eddyline_events.mercure.topics.matcher import MAX_TOPIC_BYTES


class Metadata(TypedDict):
    """OAuth 2.0 protected resource metadata (RFC 9728), and Mercure's own beside it."""

    resource: str
    authorization_servers: NotRequired[list[str]]
    bearer_methods_supported: list[str]
    authorization_details_types_supported: list[str]
    mercure_cookie: str
    mercure_matcher_types_supported: list[str]
    mercure_subscriptions: NotRequired[bool]


_TEXT = {"type": "string"}
_MATCHERS = {
    "type": "array",
    "items": {"type": "string", "maxLength": MAX_TOPIC_BYTES},
    "maxItems": MAX_MATCHERS,
}
_FIELDS = {
    "topic": {"type": "array", "items": _TEXT, "minItems": 1},
    "data": _TEXT,
    "private": _TEXT,
    "id": _TEXT,
    "type": _TEXT,
    "retry": {"type": "string", "pattern": "^[0-9]{1,15}$"},
}

#: The ways to authenticate (RFC 6750, and the cookies of both revisions).
_SECURITY = [
    Security(BEARER),
    Security(APIKeyCookie(name=COOKIE, scheme_name="mercure_cookie")),
    Security(APIKeyCookie(name=COOKIE_0X, scheme_name="mercure_cookie_0x")),
    Security(APIKeyQuery(name="authorization", scheme_name="mercure_query")),
]

SUBSCRIBE: dict[str, Any] = {
    "name": "mercure_subscribe",
    "dependencies": _SECURITY,
    "response_class": Response,
    "responses": {
        200: {"description": "Updates as they come", "content": stream(EVENT_STREAM, event())},
        **problems(BadRequest, TooLarge, UnsupportedMediaType),
        **ADMISSION,
    },
    "openapi_extra": {
        "parameters": [
            parameter("topic", _MATCHERS, "0.x: topics, URI templates (RFC 6570), or `*`."),
            parameter("match", _MATCHERS, "1.0: topics, or `*`; also `match_exact`."),
            parameter("match_urlpattern", _MATCHERS, "1.0: URL patterns (WHATWG)."),
            # Not `lastEventID` of 0.x beside it: Python's generated client takes both for one.
            parameter(
                "last_event_id", _TEXT, "Resume after this id, or `earliest`; 0.x: `lastEventID`."
            ),
            parameter("Last-Event-ID", _TEXT, "The same, as EventSource sends it.", "header"),
        ]
    },
}
PUBLISH: dict[str, Any] = {
    "name": "mercure_publish",
    "dependencies": _SECURITY,
    "response_class": PlainTextResponse,
    "responses": {
        200: {"description": "The id of the update"},
        **problems(BadRequest, TooLarge, UnsupportedMediaType),
        **ADMISSION,
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                FORM: {
                    "schema": {"type": "object", "required": ["topic"], "properties": _FIELDS},
                    "example": {"topic": ["https://example.com/books/1"], "data": "new content"},
                }
            },
        }
    },
}
DESCRIBE: dict[str, Any] = {
    "name": "describe_mercure_hub",
    "responses": {200: {"model": Metadata}},
    "openapi_extra": PUBLIC,
}
_DOCUMENT = {"schema": {"type": "object", "additionalProperties": True}}
LIST_SUBSCRIPTIONS: dict[str, Any] = {
    "name": "mercure_subscriptions",
    "dependencies": _SECURITY,
    "response_class": Response,
    "responses": {
        200: {"content": {"application/json": _DOCUMENT, "application/ld+json": _DOCUMENT}},
        304: {"description": "`If-None-Match` names the state that is there"},
    },
}
FIND_SUBSCRIPTIONS = LIST_SUBSCRIPTIONS | {
    "name": "mercure_subscriptions_of",
    "responses": LIST_SUBSCRIPTIONS["responses"] | problems(NotFound),
}
