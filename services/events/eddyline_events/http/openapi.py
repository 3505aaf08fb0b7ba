"""The OpenAPI of the hub's own API. Its routes are raw: FastAPI cannot tell it from them."""

from typing import Any

from fastapi import Response, Security
from fastapi.security import APIKeyQuery

from eddyline.broadcast.formats import POLL_SECONDS
from eddyline.errors import (
    BadRequest,
    Conflict,
    Gone,
    StreamingError,
    TooLarge,
    UnsupportedMediaType,
)
from eddyline.service.openapi.operation import (
    ADMISSION,
    BEARER,
    FLAG,
    RESET_EVENT,
    event,
    parameter,
    problems,
    ref,
    stream,
)
from eddyline.wire.ndjson import NDJSON
from eddyline.wire.sse import EVENT_STREAM
from eddyline_events.http.answers import (
    History,
    LineResult,
    Message,
    Place,
    Poll,
    Published,
    SubscriberList,
    Ticket,
    TopicList,
)
from eddyline_events.hub.presence.kick import WHATS
from eddyline_events.hub.publishing.publication import SCHEMA
from eddyline_events.hub.publishing.publisher import KeyConflict
from eddyline_events.hub.selecting.selection import MAX_TOPICS
from eddyline_events.hub.selecting.subscription import MAX_POLL_SECONDS

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000

#: The arguments of `add_api_route` beside the path, the endpoint and the class of the route.
Operation = dict[str, Any]

_TEXT = {"type": "string"}
_TOPICS = {"type": "array", "items": _TEXT, "maxItems": MAX_TOPICS}
_LIMIT = parameter(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    "At most so many.",
)
_TICKET = APIKeyQuery(
    name="ticket",
    scheme_name="ticket",
    description="From `POST /events/tickets`: browsers' EventSource sends no token. After its first"
    " use it is good with the cookie that the answer set.",
)
_EVENTS = {"anyOf": [event(), event(ref(Message)), RESET_EVENT]}


def _operation(
    method: str, model: Any, *parameters: Any, errors: tuple[type[StreamingError], ...] = ()
) -> Operation:
    return {
        "methods": [method],
        "responses": {200: {"model": model}, **problems(*errors)},
        "openapi_extra": {"parameters": list(parameters)},
    }


SUBSCRIBE: Operation = {
    "methods": ["GET"],
    "dependencies": [Security(BEARER), Security(_TICKET)],
    "response_class": Response,
    "response_model": Poll | Place,
    "responses": {
        200: {
            "description": "Events as they come",
            "content": {
                **stream(EVENT_STREAM, _EVENTS),
                **stream(NDJSON, {"anyOf": [ref(Message), ref(Place)]}),
                "application/json": {"schema": ref(Poll)},
            },
        },
        204: {"description": "By an offset: none came in time"},
        304: {"description": "By an offset: the events are those that the client has"},
        **problems(BadRequest, Gone),
        **ADMISSION,
    },
    "openapi_extra": {
        "parameters": [
            parameter(
                "topic",
                _TOPICS,
                "Topics, URI templates of topics (RFC 6570), or `*`; else all public topics.",
            ),
            parameter("after", _TEXT, "Resume after this event id, or `earliest`."),
            parameter("Last-Event-ID", _TEXT, "The same, as EventSource sends it.", "header"),
            parameter(
                "offset",
                _TEXT,
                "Read the topics as a durable stream of JSON messages: `-1`, `now`, or an offset"
                " of an answer.",
            ),
            parameter("live", {"enum": ["long-poll", "sse"]}, "With `offset`: waits for events."),
            parameter("cursor", _TEXT, "The `Stream-Cursor` of the last answer."),
            parameter("envelope", FLAG, "Each event's data is `{topic, id, time, event, data}`."),
            parameter("poll", FLAG, "One JSON answer, as soon as there are events: a long poll."),
            parameter(
                "ticket", _TEXT, "In place of a token: the ticket that `POST /events/tickets` gave."
            ),
            parameter(
                "timeout",
                {
                    "type": "number",
                    "minimum": 0,
                    "maximum": MAX_POLL_SECONDS,
                    "default": POLL_SECONDS,
                },
                "Seconds after which a long poll is answered without any.",
            ),
        ]
    },
}

PUBLISH: Operation = {
    "methods": ["POST"],
    "status_code": 201,
    "response_class": Response,
    "response_model": Published | LineResult,
    "responses": {
        200: {
            "description": "The results of NDJSON, line by line",
            "content": stream(NDJSON, ref(LineResult)),
        },
        201: {
            "description": "The ids, in the order of the events",
            "content": {
                "application/json": {
                    "schema": {
                        "anyOf": [ref(Published), {"type": "array", "items": ref(Published)}]
                    }
                }
            },
        },
        **problems(BadRequest, TooLarge, UnsupportedMediaType, Conflict, KeyConflict),
        **ADMISSION,
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"oneOf": [SCHEMA, {"type": "array", "items": SCHEMA}]},
                    "example": {"topic": "orders/7", "data": {"state": "paid"}},
                },
                NDJSON: {"schema": _TEXT},
            },
        },
        "parameters": [
            parameter(
                "Idempotency-Key",
                {"type": "string", "maxLength": 255},
                "The same key and body again, within an hour, publish nothing: the ids are the"
                " same.",
                "header",
            ),
            parameter("Prefer", _TEXT, "NDJSON: `return=minimal` leaves the ids out.", "header"),
        ],
    },
}

READ_HISTORY = _operation(
    "GET",
    History,
    parameter("topic", _TOPICS, "Topics, templates, or `*`, as with `GET /events`."),
    parameter("after", _TEXT, "An event id or `cursor`; else from the oldest."),
    _LIMIT,
    errors=(BadRequest,),
)
READ_TOPICS = _operation(
    "GET",
    TopicList,
    parameter("before", _TEXT, "The `before` of the last answer."),
    _LIMIT,
    errors=(BadRequest,),
)
READ_SUBSCRIBERS = _operation(
    "GET",
    SubscriberList,
    parameter("topic", _TEXT, "An exact topic; without one, every topic."),
    _LIMIT,
    errors=(BadRequest,),
)
ISSUE_TICKET: Operation = {
    "methods": ["POST"],
    "status_code": 201,
    "responses": {201: {"model": Ticket}},
}
KICK_SUBSCRIBER: Operation = {
    "methods": ["DELETE"],
    "status_code": 204,
    "openapi_extra": {
        "parameters": [parameter("subscriber", _TEXT, "Its id.", "path", required=True)]
    },
}
KICK: Operation = {
    "methods": ["POST"],
    "status_code": 204,
    "responses": problems(BadRequest, TooLarge, UnsupportedMediaType),
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "title": "Kick",
                        "type": "object",
                        "minProperties": 1,
                        "maxProperties": 1,
                        "additionalProperties": False,
                        "properties": {what: {"type": "string", "minLength": 1} for what in WHATS},
                    },
                    "example": {"subject": "alice"},
                }
            },
        }
    },
}
