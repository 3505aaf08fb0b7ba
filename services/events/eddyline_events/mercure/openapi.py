"""What OpenAPI says of the Mercure protocol."""

from typing import Any

from eddyline.wire.sse import EVENT_STREAM
from eddyline_events.mercure.form import FORM
from eddyline_events.mercure.request import MAX_MATCHERS
from eddyline_events.mercure.topics.matcher import MAX_TOPIC_BYTES
from eddyline_events.openapi import parameter

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

SUBSCRIBE: dict[str, Any] = {
    "name": "mercure_subscribe",
    "openapi_extra": {
        "parameters": [
            parameter("topic", _MATCHERS, "0.x: topics, URI templates (RFC 6570), or `*`."),
            parameter("match", _MATCHERS, "1.0: topics, or `*`; also `match_exact`."),
            parameter("match_urlpattern", _MATCHERS, "1.0: URL patterns (WHATWG)."),
            parameter("last_event_id", _TEXT, "Resume after this id, or `earliest`; 1.0."),
            parameter("lastEventID", _TEXT, "The same; 0.x."),
            parameter("Last-Event-ID", _TEXT, "The same, as EventSource sends it.", "header"),
        ]
    },
    "responses": {200: {"content": {EVENT_STREAM: {}}}},
}
PUBLISH: dict[str, Any] = {
    "name": "mercure_publish",
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
    "responses": {200: {"description": "The update's id.", "content": {"text/plain": {}}}},
}
