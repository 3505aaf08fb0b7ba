"""Server-sent events as the WHATWG text has them: values to bytes, once; and an incremental parser.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from eddyline.errors import BadRequest

EVENT_STREAM = "text/event-stream"

#: No cache, no proxy buffer and no compression may hold an event back.
STREAM_HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}

#: A comment with nothing in it: the smallest first byte and heartbeat.
COMMENT = b":\n\n"

_LINE_END = re.compile(r"\r\n|\n|\r")
_LINE_END_BYTES = re.compile(rb"\r\n|\n|\r")

#: Milliseconds. Python refuses to read thousands of digits as a number, and no wait is that long.
_RETRY = re.compile(r"[0-9]{1,15}\Z")

_RETRY_FIELD = re.compile(rb"(?:event: .*\n)?(?:id: .*\n)?retry: (\d+)\n")


def encode(
    data: str, *, event: str | None = None, id: str | None = None, retry: int | None = None
) -> bytes:
    """One event as bytes. `retry` is in milliseconds.

    Raises BadRequest where `event` or `id` holds a line end, which would forge a field, or `id` a
    NUL, for which clients ignore it; or where a text is not UTF-8. An empty `data` fires an event.
    """
    before, after = halves(data, event=event, retry=retry)
    return before + (b"" if id is None else id_field(id)) + after


def halves(data: str, *, event: str | None = None, retry: int | None = None) -> tuple[bytes, bytes]:
    """The bytes before and after the id of an event; refuses texts as `encode` does."""
    before = b""
    if event is not None:
        if _LINE_END.search(event):
            raise BadRequest(f"event type {event!r} holds a line end")
        before = _utf8(f"event: {event}\n")
    # All three line ends: a lone CR inside `data` would otherwise end the line at the client.
    lines = "\ndata: ".join(_LINE_END.split(data)) if _LINE_END.search(data) else data
    after = f"data: {lines}\n\n"
    return before, _utf8(after if retry is None else f"retry: {retry:d}\n{after}")


# `encode` writes event, id and retry in this order, each at most once, and then data. So its bytes,
# and no others, can be read field by field: a `Parser` takes ten times as long.


def decode(frame: bytes) -> tuple[str | None, str]:
    """The event type and the data that `encode` was given; line ends of the data are LF."""
    event, start = None, 6
    if frame[:1] != b"d":
        start = frame.index(b"\ndata: ") + 7
        if frame[:1] == b"e":
            event = frame[7 : frame.index(b"\n")].decode()
    return event, frame[start:-2].decode().replace("\ndata: ", "\n")


def retry_of(frame: bytes) -> int | None:
    """The `retry` that `encode` was given, in milliseconds."""
    found = _RETRY_FIELD.match(frame)
    return int(found[1]) if found else None


def comment(text: str = "") -> bytes:
    return "".join(f": {line}\n" for line in _LINE_END.split(text)).encode() + b"\n"


def cursor_frame(id: str) -> bytes:
    """Moves the client's last event id and fires no event (a block without `data`)."""
    return b":\n" + id_field(id) + b"\n"


def retry_frame(milliseconds: int) -> bytes:
    return b"retry: %d\n\n" % milliseconds


def id_field(id: str) -> bytes:
    """Raises BadRequest as `encode` does."""
    if _LINE_END.search(id) or "\0" in id:
        raise BadRequest(f"event id {id!r} holds a line end or NUL")
    return _utf8(f"id: {id}\n")


def _utf8(frame: str) -> bytes:
    try:
        return frame.encode()
    except UnicodeEncodeError as error:
        # JSON can spell half a surrogate pair, and Python's reader of it lets that pass.
        half = error.object[error.start : error.end]
        raise BadRequest(f"the event holds {half!r}, which is no character") from None


@dataclass(frozen=True, slots=True)
class Event:
    """An event as an EventSource dispatches it: `id` is the last event id in force then."""

    data: str
    event: str = "message"
    id: str = ""


class Parser:
    """Feed it bytes cut anywhere; it yields events as an EventSource would dispatch them.

    `last_event_id` is the one that a reconnect would send: of the last block that was there in
    full. After a reconnect, give it to the next parser: it stays in force until an event changes
    it.

    `error`: the value of a field of this name, which is not in the WHATWG text and fires no event.
    llama.cpp's server tells its faults by it.
    """

    def __init__(self, last_event_id: str = "") -> None:
        self.last_event_id: str = last_event_id
        self.error: str | None = None
        self.retry: int | None = None
        self.comments: int = 0
        #: The line that has no end yet. Joined once, at its end: otherwise a long one would be
        #: copied with each chunk of it.
        self._pieces: list[bytes] = []
        self._first = True
        self._after_cr = False
        self._data: list[str] = []
        self._event = ""
        self._id = last_event_id

    def feed(self, chunk: bytes) -> Iterator[Event]:
        for line in self._lines(chunk):
            if line:
                self._field(line)
            elif (event := self._dispatch()) is not None:
                yield event

    def _lines(self, chunk: bytes) -> list[str]:
        if not chunk:
            return []
        # A CR ends its line at once; an LF that then opens the next chunk is its other half.
        if self._after_cr:
            chunk = chunk.removeprefix(b"\n")
        self._after_cr = chunk.endswith(b"\r")
        first, *lines = _LINE_END_BYTES.split(chunk)
        self._pieces.append(first)
        if not lines:
            return []
        lines.insert(0, b"".join(self._pieces))
        self._pieces = [lines.pop()]
        if self._first:
            self._first = False
            lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
        return [line.decode("utf-8", "replace") for line in lines]

    def _field(self, line: str) -> None:
        if line.startswith(":"):
            self.comments += 1
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and _RETRY.match(value):
            self.retry = int(value)
        elif name == "error":
            self.error = value

    def _dispatch(self) -> Event | None:
        data, self._data = self._data, []
        name, self._event = self._event, ""
        self.last_event_id = self._id
        if not data:
            return None
        return Event("\n".join(data), name or "message", self.last_event_id)
