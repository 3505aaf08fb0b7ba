"""The rules of an update that a publisher sends by the Mercure protocol.

Both revisions are held to those of 1.0 (section Publication). Its subscribers may trust that events
in the hub's own namespace, or of the type `mercure`, come from the hub.
"""

import re
import uuid

from eddyline.errors import BadRequest, TooLarge
from eddyline.journal.base import NewEntry, check_event_type
from eddyline.journal.cursor import check_own_id
from eddyline_events.hub.namespace import HUB_TYPE, PATH, is_reserved
from eddyline_events.hub.publishing.publication import MAX_RETRY
from eddyline_events.mercure.form import Fields
from eddyline_events.mercure.topics.matcher import (
    MAX_TOPIC_BYTES,
    WILDCARD,
    check_text,
    has_invisible,
)

MAX_TOPICS = 1000
#: Bytes; an id travels in headers.
MAX_ID_BYTES = 1024
MAX_TYPE_BYTES = 256

#: Milliseconds.
_RETRY = re.compile(r"[0-9]+\Z")
MAX_RETRY_DIGITS = 15


def entry_of(fields: Fields, max_data: int) -> NewEntry:
    """The update; raises BadRequest or TooLarge, which name the field. Unknown ones are ignored."""
    topics = list(dict.fromkeys(value for name, value in fields if name == "topic"))
    first = dict(reversed(fields))
    if not topics:
        raise BadRequest('Missing "topic" parameter: an update needs one or more')
    if len(topics) > MAX_TOPICS:
        raise TooLarge(f"an update may have {MAX_TOPICS} topics, this one has {len(topics)}")
    for topic in topics:
        _check_topic(topic)
    data = first.get("data", "")
    _check_size("data", data, max_data)
    return NewEntry(
        topics[0],
        data,
        _type(first.get("type", "")),
        _id(first.get("id", "")),
        _retry(first.get("retry", "")),
        "private" in first,
        tuple(topics[1:]),
    )


def new_id() -> str:
    """A new IRI that tells nothing: neither an order nor that there are others."""
    return uuid.uuid4().urn


def _check_topic(topic: str) -> None:
    _check_size("topic", topic, MAX_TOPIC_BYTES)
    check_text(topic, "topic")
    if topic == WILDCARD:
        raise BadRequest(f"topic {WILDCARD!r} is the matcher of all topics, and none itself")
    if is_reserved(topic):
        raise BadRequest(f"topic {topic[:80]!r} lies under {PATH}, which is the hub's own")


def _type(text: str) -> str | None:
    _check_size("type", text, MAX_TYPE_BYTES)
    if text == HUB_TYPE or has_invisible(text):
        raise BadRequest(
            f"type {text[:80]!r}: must not be {HUB_TYPE!r}, nor hold a control or format character"
        )
    check_event_type(text)
    return text or None


def _id(text: str) -> str:
    if not text:
        return new_id()
    _check_size("id", text, MAX_ID_BYTES)
    if text.startswith("#") or has_invisible(text):
        raise BadRequest(
            f"id {text[:80]!r}: must not begin with '#', nor hold a control or format character"
        )
    check_own_id(text)
    return text


def _retry(text: str) -> int | None:
    if not text:
        return None
    if not _RETRY.match(text):
        raise BadRequest(f"retry {text[:80]!r}: must be digits, milliseconds")
    _check_size("retry", text, MAX_RETRY_DIGITS)
    if int(text) > MAX_RETRY:
        raise BadRequest(f"retry {text}: may be {MAX_RETRY} milliseconds")
    return int(text)


def _check_size(field: str, text: str, limit: int) -> None:
    size = len(text.encode())
    if size > limit:
        raise TooLarge(f"{field} has {size} bytes: {limit} are allowed")
