"""How entries look on the wire: server-sent events, NDJSON, or the one answer of a long poll.

A format of your own is a class with the members of `Format`, and one line in `FORMATS`.
"""

from abc import ABC, abstractmethod
from typing import Any, Protocol

import orjson

from eddyline.journal.base import Entry, Gap
from eddyline.journal.cursor import Cursor
from eddyline.wire import ndjson, sse

RESET = "eddyline.reset"

#: Seconds of a long poll: below the time for which proxies wait for an answer.
POLL_SECONDS = 25.0


class Format(Protocol):
    """Bytes for one kind of client. One instance serves all audiences: it knows of no stream."""

    @property
    def media_type(self) -> str: ...

    @property
    def once(self) -> bool:
        """Whether the body ends with the first entries."""

    @property
    def ends_at_gap(self) -> bool:
        """Whether the body ends where entries are missing, in place of going on after them."""

    def entry(self, entry: Entry) -> bytes:
        """One entry; called for each audience, and for each subscriber that catches up."""

    def join(self, frames: list[bytes], last: Cursor) -> bytes:
        """Entries that are written together; `last` is the cursor of the last one.

        Called once for each flush of an audience. `frames` is not empty where `once` is not set.
        Raises ValueError where this format cannot tell them: their readers are ended, without them.
        """

    def heartbeat(self, cursor: Cursor | None) -> bytes:
        """The first bytes of a body, and bytes that break a silence.

        With a cursor they move that of the client, so that the cursor of a quiet topic never ages
        out. None: the client has entries before the head to come.
        """

    def reset(self, gap: Gap, oldest: Cursor, head: Cursor) -> bytes:
        """Says that entries are missing, and why; the stream goes on at `head`."""

    def ending(self, cursor: Cursor, retry: int) -> bytes:
        """The last bytes of a body that ends at `cursor`; `retry` is in milliseconds."""

    def complete(self, cursor: Cursor) -> bytes:
        """The last bytes of a body that has all there will ever be."""


class ServerSentEvents:
    """`text/event-stream`; an entry is the bytes that its journal holds."""

    media_type = sse.EVENT_STREAM
    once = False
    ends_at_gap = False

    def entry(self, entry: Entry) -> bytes:
        return entry.frame

    def join(self, frames: list[bytes], last: Cursor) -> bytes:
        return b"".join(frames)

    def heartbeat(self, cursor: Cursor | None) -> bytes:
        # With a cursor from the first byte on, a client that drops before any event loses none
        # either.
        return sse.COMMENT if cursor is None else sse.cursor_frame(str(cursor))

    def reset(self, gap: Gap, oldest: Cursor, head: Cursor) -> bytes:
        data = orjson.dumps(_reset(gap, oldest)).decode()
        return sse.encode(data, event=RESET, id=str(head))

    def ending(self, cursor: Cursor, retry: int) -> bytes:
        return sse.retry_frame(retry)

    def complete(self, cursor: Cursor) -> bytes:
        return b""


class Rendered(ABC):
    """Base of formats that make bytes of their own: once an entry, for all audiences it reaches."""

    def __init__(self) -> None:
        self._entry: Entry | None = None
        self._bytes = b""

    def entry(self, entry: Entry) -> bytes:
        if entry is not self._entry:
            self._bytes = self.render(entry)
            self._entry = entry
        return self._bytes

    @abstractmethod
    def render(self, entry: Entry) -> bytes: ...


class Envelopes(Rendered, ServerSentEvents):
    """`text/event-stream` with the topic, id and time of each event around its data."""

    def render(self, entry: Entry) -> bytes:
        value = message(entry)
        event = None if value["event"] == "message" else value["event"]
        return sse.encode(orjson.dumps(value).decode(), event=event, id=entry.id or None)


class NdjsonLines(Rendered):
    """`application/x-ndjson`: a message a line; `{"cursor": …}` and `{"reset": …}` beside them."""

    media_type = ndjson.NDJSON
    once = False
    ends_at_gap = False

    def render(self, entry: Entry) -> bytes:
        return ndjson.encode(message(entry))

    def join(self, frames: list[bytes], last: Cursor) -> bytes:
        return b"".join(frames)

    def heartbeat(self, cursor: Cursor | None) -> bytes:
        return b"\n" if cursor is None else ndjson.encode({"cursor": str(cursor)})

    def reset(self, gap: Gap, oldest: Cursor, head: Cursor) -> bytes:
        return ndjson.encode({"reset": _reset(gap, oldest), "cursor": str(head)})

    def ending(self, cursor: Cursor, retry: int) -> bytes:
        return ndjson.encode({"cursor": str(cursor), "retry": retry})

    def complete(self, cursor: Cursor) -> bytes:
        return b""


class LongPoll(Rendered):
    """One JSON object, as soon as there is an entry: `{"events": […], "cursor": …}`."""

    media_type = "application/json"
    once = True
    ends_at_gap = True

    def render(self, entry: Entry) -> bytes:
        return orjson.dumps(message(entry))

    def join(self, frames: list[bytes], last: Cursor) -> bytes:
        return b'{"events":[%b],"cursor":"%b"}\n' % (b",".join(frames), str(last).encode())

    def heartbeat(self, cursor: Cursor | None) -> bytes:
        return b""

    def reset(self, gap: Gap, oldest: Cursor, head: Cursor) -> bytes:
        body = {"events": [], "reset": _reset(gap, oldest), "cursor": str(head)}
        return ndjson.encode(body)

    def ending(self, cursor: Cursor, retry: int) -> bytes:
        return self.join([], cursor)

    def complete(self, cursor: Cursor) -> bytes:
        return b""


class PolledLines(NdjsonLines):
    """NDJSON that ends with the first entries: a long poll that is read line by line."""

    once = True

    def join(self, frames: list[bytes], last: Cursor) -> bytes:
        return b"".join(frames) + self.heartbeat(last)


def message(entry: Entry) -> dict[str, Any]:
    """An entry as a JSON object, for orjson; `time` is in unix seconds."""
    event, data = sse.decode(entry.frame)
    return {
        "topic": entry.topic,
        "id": entry.id,
        "time": entry.time,
        "event": event or "message",
        "data": orjson.Fragment(data) if entry.json else data,
    }


def _reset(gap: Gap, oldest: Cursor) -> dict[str, str]:
    return {"reason": gap, "oldest": str(oldest)}


SSE = ServerSentEvents()
ENVELOPE = Envelopes()
LINES = NdjsonLines()
POLL = LongPoll()
POLLED_LINES = PolledLines()

#: Formats that a client may accept, by media type; the first one wins.
FORMATS: dict[str, Format] = {format.media_type: format for format in (SSE, LINES)}


def accepted(accept: str) -> Format:
    """The format for a client that sends this `Accept`: server-sent events where it names none."""
    accept = accept.lower()
    return next((FORMATS[name] for name in FORMATS if name in accept), SSE)
