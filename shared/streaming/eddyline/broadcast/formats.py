"""How entries look on the wire: server-sent events, NDJSON, or the one answer of a long poll.

A format encodes an entry once for a whole audience; the bytes of server-sent events were made when
the entry was appended, and are used as they are.
"""

from typing import Any, Protocol

import orjson

from eddyline.journal.base import Entry, Gap
from eddyline.journal.cursor import Cursor
from eddyline.wire import ndjson, sse

RESET = "eddyline.reset"

#: Seconds of a long poll: below the time for which proxies wait for an answer.
POLL_SECONDS = 25.0


class Format(Protocol):
    """Bytes for one kind of client."""

    @property
    def media_type(self) -> str: ...

    @property
    def once(self) -> bool:
        """Whether the body ends with the first entries."""

    def opening(self, cursor: Cursor | None) -> bytes:
        """The first bytes; with the cursor of who starts at the head."""

    def entry(self, entry: Entry) -> bytes: ...

    def join(self, frames: list[bytes], last: Cursor) -> bytes:
        """What goes out together; `last` is the cursor of the last frame's entry."""

    def heartbeat(self, cursor: Cursor) -> bytes:
        """Moves the client's cursor, so that a quiet topic's never ages out."""

    def reset(self, gap: Gap, oldest: Cursor, head: Cursor) -> bytes:
        """Says that something is missing, and why; it goes on at `head`."""

    def ending(self, cursor: Cursor, retry: int) -> bytes:
        """The last bytes of a body that ends at `cursor`; `retry` is in milliseconds."""


class ServerSentEvents:
    """`text/event-stream`. `envelope` puts topic, id and time around each event's data."""

    media_type = sse.EVENT_STREAM
    once = False

    def __init__(self, envelope: bool = False) -> None:
        self._envelope = envelope

    def opening(self, cursor: Cursor | None) -> bytes:
        # With a cursor from the first byte on, a client that drops before any event loses none
        # either.
        return sse.COMMENT if cursor is None else sse.cursor_frame(str(cursor))

    def entry(self, entry: Entry) -> bytes:
        if not self._envelope:
            return entry.frame
        value = message(entry)
        event = None if value["event"] == "message" else value["event"]
        return sse.encode(orjson.dumps(value).decode(), event=event, id=entry.id or None)

    def join(self, frames: list[bytes], last: Cursor) -> bytes:
        return b"".join(frames)

    def heartbeat(self, cursor: Cursor) -> bytes:
        return sse.cursor_frame(str(cursor))

    def reset(self, gap: Gap, oldest: Cursor, head: Cursor) -> bytes:
        data = orjson.dumps(_reset(gap, oldest)).decode()
        return sse.encode(data, event=RESET, id=str(head))

    def ending(self, cursor: Cursor, retry: int) -> bytes:
        return sse.retry_frame(retry)


class NdjsonLines:
    """`application/x-ndjson`: a message a line; `{"cursor": …}` and `{"reset": …}` beside them."""

    media_type = ndjson.NDJSON
    once = False

    def opening(self, cursor: Cursor | None) -> bytes:
        return b"\n" if cursor is None else self.heartbeat(cursor)

    def entry(self, entry: Entry) -> bytes:
        return ndjson.encode(message(entry))

    def join(self, frames: list[bytes], last: Cursor) -> bytes:
        return b"".join(frames)

    def heartbeat(self, cursor: Cursor) -> bytes:
        return ndjson.encode({"cursor": str(cursor)})

    def reset(self, gap: Gap, oldest: Cursor, head: Cursor) -> bytes:
        return ndjson.encode({"reset": _reset(gap, oldest), "cursor": str(head)})

    def ending(self, cursor: Cursor, retry: int) -> bytes:
        return ndjson.encode({"cursor": str(cursor), "retry": retry})


class LongPoll:
    """One JSON object, as soon as there is an entry: `{"events": […], "cursor": …}`."""

    media_type = "application/json"
    once = True

    def opening(self, cursor: Cursor | None) -> bytes:
        return b""

    def entry(self, entry: Entry) -> bytes:
        return orjson.dumps(message(entry))

    def join(self, frames: list[bytes], last: Cursor) -> bytes:
        return b'{"events":[%b],"cursor":"%b"}\n' % (b",".join(frames), str(last).encode())

    def heartbeat(self, cursor: Cursor) -> bytes:
        return b""

    def reset(self, gap: Gap, oldest: Cursor, head: Cursor) -> bytes:
        body = {"events": [], "reset": _reset(gap, oldest), "cursor": str(head)}
        return ndjson.encode(body)

    def ending(self, cursor: Cursor, retry: int) -> bytes:
        return self.join([], cursor)


def accepted(accept: str) -> Format:
    """The format of a stream for a client that sends this `Accept`: NDJSON only if asked for."""
    accept = accept.lower()
    return LINES if ndjson.NDJSON in accept and sse.EVENT_STREAM not in accept else SSE


def message(entry: Entry) -> dict[str, Any]:
    """An entry as a JSON object; `time` is in unix seconds, `data` what the publisher gave."""
    (event,) = sse.Parser().feed(entry.frame)
    data = orjson.Fragment(event.data) if entry.json else event.data
    value = {"topic": entry.topic, "id": entry.id, "time": entry.time, "event": event.event}
    return value | {"data": data}


def _reset(gap: Gap, oldest: Cursor) -> dict[str, str]:
    return {"reason": gap, "oldest": str(oldest)}


SSE = ServerSentEvents()
ENVELOPE = ServerSentEvents(envelope=True)
LINES = NdjsonLines()
POLL = LongPoll()
