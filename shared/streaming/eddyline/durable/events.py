"""Live reads as server-sent events: `data` and `control` (section 5.8)."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

import orjson

from eddyline.durable import cursors
from eddyline.durable.offset import from_cursor
from eddyline.durable.payload import Payload
from eddyline.journal.base import Entry, Gap
from eddyline.journal.cursor import Cursor
from eddyline.wire import sse


def data_event(lines: Iterable[str]) -> bytes:
    # A client drops one space after the colon: a line that begins with one needs another.
    fields = "".join(f"data: {line}\n" if line[:1] == " " else f"data:{line}\n" for line in lines)
    return f"event: data\n{fields}\n".encode()


def control_event(
    offset: str, cursor: int | None, *, at_tail: bool = False, closed: bool = False
) -> bytes:
    """Where the client is. `cursor`: the greatest one that it has sent."""
    fields: dict[str, str | bool] = {"streamNextOffset": offset}
    if not closed:
        fields["streamCursor"] = cursors.following(cursor)
    if at_tail or closed:
        fields["upToDate"] = True
    if closed:
        fields["streamClosed"] = True
    return b"event: control\ndata:%b\n\n" % orjson.dumps(fields)


class Position(Protocol):
    """Where the deliveries of a stream are in this process."""

    @property
    def head(self) -> Cursor: ...

    @property
    def finished(self) -> bool: ...


@dataclass(frozen=True)
class DurableEvents:
    """The format of all readers of one stream that sent the same `cursor`.

    The frame of an entry is the record itself: a flush is encoded as a whole.
    """

    payload: Payload
    cursor: int | None
    position: Position = field(compare=False)

    media_type = sse.EVENT_STREAM
    once = False
    #: A client cannot be told of a gap in the stream: it comes back, and is told by 410.
    ends_at_gap = True

    def entry(self, entry: Entry) -> bytes:
        return entry.frame

    def join(self, frames: list[bytes], last: Cursor) -> bytes:
        data = data_event(self.payload.lines(frames))
        at_tail = last == self.position.head
        if at_tail and self.position.finished:
            return data  # `complete` follows
        return data + control_event(from_cursor(last), self.cursor, at_tail=at_tail)

    def heartbeat(self, cursor: Cursor | None) -> bytes:
        return sse.COMMENT

    def at_head(self, head: Cursor) -> bytes:
        """The first bytes for a client that has all that there is."""
        if self.position.finished:
            return b""  # `complete` follows
        return control_event(from_cursor(head), self.cursor, at_tail=True)

    def reset(self, gap: Gap, oldest: Cursor, head: Cursor) -> bytes:
        return b""

    def ending(self, cursor: Cursor, retry: int) -> bytes:
        at_tail = cursor == self.position.head
        return control_event(from_cursor(cursor), self.cursor, at_tail=at_tail)

    def complete(self, cursor: Cursor) -> bytes:
        return control_event(from_cursor(cursor), None, closed=True)
