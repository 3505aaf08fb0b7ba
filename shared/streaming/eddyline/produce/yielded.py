"""Values that a generator yields, as records of a stream and as entries for its readers.

A record is a JSON object: `time` in unix seconds, `event` where the value has a type, and `data`.
So a reader of the store needs nothing of ours to understand it.
"""

import time
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from eddyline.broadcast import formats
from eddyline.broadcast.formats import Format, NdjsonLines, message
from eddyline.errors import StreamingError
from eddyline.journal.base import OWN_TYPES, Entry, NewEntry
from eddyline.store.base import Record
from eddyline.wire import ndjson

MEDIA_TYPE = "application/json"

#: The types of the last event of each stream: it is whole, or it is not.
END = "eddyline.end"
ERROR = "eddyline.error"

#: Why a stream ends. `complete`: the generator has returned. `failed`: it has raised. `limit`: it
#: has yielded more than may be kept. `deadline`: it ran for too long. `stopped`: its process stops.
EndReason = Literal["complete", "failed", "cancelled", "limit", "deadline", "stopped"]

#: Characters of an error's text.
MOST_DETAIL = 200


@dataclass(frozen=True, slots=True)
class NamedEvent:
    """A value with an event type. Any object with these two attributes will do as well."""

    event: str
    data: Any


def encode(value: Any) -> bytes:
    """A yielded value as a record.

    A text, or bytes in UTF-8, is sent as it is; an object with `event` and `data` as an event of
    that type; anything else as JSON. Raises TypeError or ValueError where that cannot be.
    """
    event = None
    if hasattr(value, "event") and hasattr(value, "data"):
        event, value = value.event, value.data
        if event is not None and ("\n" in event or "\r" in event or event.startswith(OWN_TYPES)):
            raise ValueError(f"event type {event!r} holds a line end, or begins with {OWN_TYPES!r}")
    if isinstance(value, bytes):
        value = value.decode()
    return _record(event, value)


def ending(reason: EndReason, detail: str) -> bytes:
    """The last record of a stream. `detail` is for clients: it must hold no secret."""
    if reason == "complete":
        return _record(END, {"reason": reason})
    return _record(ERROR, {"reason": reason, "detail": detail[:MOST_DETAIL]})


def safe_detail(error: BaseException) -> str:
    """A text that clients may see: the error's own only where it was written for them."""
    if isinstance(error, StreamingError) and error.status != 500:
        return error.detail
    return "the generator failed: the log of the server has the cause"


def entry(record: Record) -> Entry:
    """A record as its subscribers get it, encoded once for all of them."""
    value = orjson.loads(record.data)
    data, event = value["data"], value.get("event")
    is_json = not isinstance(data, str)
    text = orjson.dumps(data).decode() if is_json else data
    return Entry.from_new(NewEntry("", text, event, json=is_json), record.cursor, value["time"])


class _Lines(NdjsonLines):
    """Lines without a topic: the key of a stream is the app's own business."""

    def entry(self, entry: Entry) -> bytes:
        value = message(entry)
        del value["topic"]
        return ndjson.encode(value)


LINES = _Lines()


def accepted(accept: str) -> Format:
    """The format for a client that sends this `Accept`."""
    return LINES if formats.accepted(accept) is formats.LINES else formats.SSE


def _record(event: str | None, data: Any) -> bytes:
    head = {"time": round(time.time(), 3)}
    value = {**head, "data": data} if event is None else {**head, "event": event, "data": data}
    return orjson.dumps(value, default=_plain)


def _plain(value: Any) -> Any:
    """A Pydantic model as the JSON that FastAPI would make of it."""
    dump = getattr(value, "model_dump", None)
    if dump is None:
        raise TypeError(f"a generator yielded {type(value).__name__}, which JSON does not have")
    return dump(mode="json")
