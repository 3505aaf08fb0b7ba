"""A JSON array of publications: all of them, or none."""

import orjson

from eddyline.errors import BadRequest, Forbidden, TooLarge
from eddyline.journal.base import NewEntry
from eddyline_events.hub.publishing.publication import entry_of, parse
from eddyline_events.hub.publishing.publisher import Grants
from eddyline_events.settings import EventsSettings


def is_batch(body: bytes | bytearray) -> bool:
    return body[:1] == b"[" or body[:256].lstrip(b" \t\r\n").startswith(b"[")


def entries(
    body: bytes, key: str | None, grants: Grants, settings: EventsSettings
) -> list[NewEntry]:
    """The entries, once all have been checked; an error names the index (from 0) of the first bad
    one.
    """
    values = parse(body)
    if len(values) > settings.max_batch_events:
        raise TooLarge(
            f"the batch has {len(values)} events: {settings.max_batch_events} are allowed"
            " (EVENTS_MAX_BATCH_EVENTS); send more as application/x-ndjson"
        )
    checked = []
    for index, value in enumerate(values):
        try:
            entry = entry_of(value, None if key is None else f"{key}/{index}")
            grants.require(entry.topic)
            _check_size(entry, len(body), settings.max_event_bytes)
        except (BadRequest, Forbidden, TooLarge) as error:
            raise type(error)(f"item {index}: {error.detail}; nothing was published") from None
        checked.append(entry)
    return checked


def _check_size(entry: NewEntry, whole: int, limit: int) -> None:
    # The event as JSON again, about as long as it came: a body within the limit needs no look.
    if whole > limit and len(orjson.dumps(entry.data)) > limit:
        raise TooLarge(f"an event may have {limit} bytes (EVENTS_MAX_EVENT_BYTES)")
