"""The records of an answer's log: OpenAI's chunks, and last the end or the error.

A record is the data of one event, so a reader of the store needs nothing of ours.
"""

import time
from collections.abc import Iterable
from typing import Any

import orjson

from eddyline.broadcast.formats import ServerSentEvents
from eddyline.errors import StreamingError, Unavailable
from eddyline.journal.base import Entry, NewEntry
from eddyline.journal.cursor import Cursor
from eddyline.store.base import Record
from eddyline_chat.openai.chunk import parse
from eddyline_chat.openai.text import Text
from eddyline_chat.v1.errors import code_of, error_object

MEDIA_TYPE = "application/json"

DONE = b"[DONE]"


class ChunkEvents(ServerSentEvents):
    """Events for readers of a log; a heartbeat is a comment that no client takes for an event."""

    def heartbeat(self, cursor: Cursor | None) -> bytes:
        return b": ping\n"


class CompletionEvents(ChunkEvents):
    """Events for clients of OpenAI's API, to which a mere end is one of the answer: where the
    stream ends before it, there is an error.
    """

    def ending(self, cursor: Cursor, retry: int) -> bytes:
        error = Unavailable("this process is stopping: the answer is not whole", 2.0)
        return b"data: %b\n\ndata: %b\n\n" % (failure(error), DONE)


EVENTS = ChunkEvents()
COMPLETION = CompletionEvents()


def failure(error: StreamingError) -> bytes:
    """The record of an answer that is not whole."""
    return orjson.dumps(error_object(error.status, error.detail, code_of(error)))


def entry(record: Record) -> Entry:
    """A record as its readers get it."""
    new = NewEntry("", record.data.decode("utf-8", "replace"), None)
    return Entry.from_new(new, record.cursor, time.time())


def values(found: Iterable[Record]) -> list[Any]:
    """Records as objects, without the end."""
    return [orjson.loads(record.data) for record in found if record.data != DONE]


def told(records: Iterable[Record]) -> dict[str, Any]:
    """The text, the finish reason, the usage and the error, as far as the records have them."""
    text, pieces, error = Text(text_alone=False), list[str](), None
    for record in records:
        if record.data == DONE:
            continue
        value = orjson.loads(record.data)
        if "error" in value:
            error = value["error"]
        else:
            pieces.append(text.take(parse(record.data)))
    whole = "".join([*pieces, text.rest()])
    finish = text.finish or None
    return {"text": whole, "finish_reason": finish, "usage": text.usage, "error": error}
