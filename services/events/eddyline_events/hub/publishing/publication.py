"""The rules of one event, by whichever route a publisher sends it."""

import re
from collections.abc import Callable
from typing import Any

import orjson

from eddyline.errors import BadRequest
from eddyline.journal.base import NewEntry, check_event_type
from eddyline.journal.cursor import SAFE_ID, check_own_id
from eddyline_events.hub.namespace import HUB_TYPE, PATH, is_reserved

#: Characters.
MAX_TOPIC = 1024
MAX_EVENT = 256

#: Milliseconds. A client waits so long for the events of all its topics.
MAX_RETRY = 60_000

#: The rules as OpenAPI has them. They are checked by hand below: a pydantic model took 5 µs an
#: event, a third of the whole cost of publishing one in a batch.
SCHEMA: dict[str, Any] = {
    "title": "Publication",
    "type": "object",
    "required": ["topic"],
    "additionalProperties": False,
    "properties": {
        "topic": {"type": "string", "minLength": 1, "maxLength": MAX_TOPIC},
        "data": {
            "description": "A string is sent as it is, anything else as JSON; it may be missing.",
        },
        "event": {
            "type": ["string", "null"],
            "maxLength": MAX_EVENT,
            "description": "The event's type, in place of `message`; none that begins with"
            " `eddyline.`.",
        },
        "id": {
            "type": ["string", "null"],
            "pattern": "^[A-Za-z0-9._~-]{1,128}$",
            "description": "The publisher's own id: neither `earliest` nor like one of the hub's.",
        },
        "retry": {
            "type": ["integer", "null"],
            "minimum": 0,
            "maximum": MAX_RETRY,
            "description": "Milliseconds that clients wait before they connect again.",
        },
        # No `default` here or above: generators in TypeScript make a field with one required.
        "private": {
            "type": "boolean",
            "description": "Only for subscribers that name the topic, and are granted it.",
        },
    },
}
_FIELDS = frozenset(SCHEMA["properties"])

#: orjson makes floats of integers beyond 64 bits. The look for so many digits is all that a usual
#: event pays.
_DIGITS = re.compile(rb"[0-9]{19}")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_INTEGER = re.compile(rb"(?<![0-9.eE+-])-?[0-9]{19,}(?![0-9.eE])")


def check_topic(topic: str) -> str:
    """The same topic; BadRequest names a text that is none."""
    if not 0 < len(topic) <= MAX_TOPIC or "\n" in topic or "\r" in topic or "\0" in topic:
        raise BadRequest(
            f"topic {topic[:80]!r}: must have 1-{MAX_TOPIC} characters, no line end and no NUL"
        )
    return topic


def parse(text: bytes) -> Any:
    """A JSON value; raises BadRequest."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        # Also half a surrogate pair, which is no character and could not be sent.
        raise BadRequest(f"Invalid JSON: {error}") from None
    if _DIGITS.search(text) is not None:
        _refuse_long_integers(text)
    return value


def _refuse_long_integers(text: bytes) -> None:
    for found in _INTEGER.findall(_STRING.sub(b"", text)):
        if not -(1 << 63) <= int(found[:40]) < 1 << 64:
            shown = found[:40].decode()
            raise BadRequest(
                f"the integer {shown} has more than 64 bits, and would be rounded: send a string"
            )


def entry_of(value: Any, key: str | None = None) -> NewEntry:
    """A parsed publication, checked, under an idempotency key; BadRequest names the bad field."""
    if type(value) is not dict:
        raise _fault("body", "must be a JSON object", value)
    if not _FIELDS.issuperset(value):
        unknown = next(name for name in value if name not in _FIELDS)
        raise _fault(unknown[:80], f"is none of {', '.join(sorted(_FIELDS))}", value[unknown])
    topic = value.get("topic")
    if type(topic) is not str:
        raise _fault("topic", "must be a string" if "topic" in value else "Field required", topic)
    _check_own_topic(topic)
    data = value.get("data", "")
    json = type(data) is not str
    if json:
        data = _dumps(data)
    if len(value) <= 2 and "data" in value:
        return NewEntry(topic, data, json=json, key=key)
    for field, check in _CHECKS:
        if field in value:
            check(value[field])
    event, id, retry = value.get("event"), value.get("id"), value.get("retry")
    private = value.get("private", False)
    return NewEntry(topic, data, event, id, retry, private, json=json, key=key)


def _check_own_topic(topic: str) -> None:
    check_topic(topic)
    # Most topics cannot name the hub's namespace: resolving them as URLs takes longer than all the
    # other checks.
    if ("mercure" in topic or "%" in topic or "\t" in topic) and is_reserved(topic):
        raise _fault("topic", f"must not be in the hub's own namespace, {PATH}", topic)


def _check_event(event: Any) -> None:
    if event is None:
        return
    if type(event) is not str or len(event) > MAX_EVENT:
        raise _fault("event", f"must be a string of at most {MAX_EVENT} characters", event)
    if "\n" in event or "\r" in event or "\0" in event:
        raise _fault("event", "must not hold a line end or NUL", event)
    if event == HUB_TYPE:
        raise _fault("event", "must not be the type of the hub's own events", event)
    check_event_type(event)


def _check_id(id: Any) -> None:
    if id is None:
        return
    if type(id) is not str or SAFE_ID.match(id) is None:
        raise _fault("id", "must be 1-128 of A-Z a-z 0-9 . _ ~ -", id)
    check_own_id(id)


def _check_retry(retry: Any) -> None:
    if retry is not None and (type(retry) is not int or not 0 <= retry <= MAX_RETRY):
        raise _fault("retry", f"must be a whole number of 0-{MAX_RETRY} milliseconds", retry)


def _check_private(private: Any) -> None:
    if type(private) is not bool:
        raise _fault("private", "must be true or false", private)


#: The checks of fields that few events have, in the order in which faults are told.
_CHECKS: tuple[tuple[str, Callable[[Any], None]], ...] = (
    ("event", _check_event),
    ("id", _check_id),
    ("retry", _check_retry),
    ("private", _check_private),
)


def _dumps(data: Any) -> str:
    try:
        return orjson.dumps(data).decode()
    except TypeError:
        raise BadRequest("data: is nested deeper than 254 levels") from None


def _fault(field: str, must: str, value: Any) -> BadRequest:
    return BadRequest(f"{field}: {must} (got {str(value)[:80]!r})")
