"""Entries as Redis keeps them and as they go over the bus: made once, when they are published.

A record is a line of JSON, then the bytes before the id in the frame, then the bytes after it: the
sequence, and with it most ids, is known to Redis alone. The JSON is
`[topics, private, json, own id or null, size of the bytes before the id]`.
"""

import struct
from collections.abc import Iterator
from typing import Any

import orjson

from eddyline.journal.base import Entry, NewEntry
from eddyline.journal.cursor import Cursor, check_own_id
from eddyline.wire import sse

_SIZE = struct.Struct(">I")


def encode(new: NewEntry) -> bytes:
    """A record; raises BadRequest as `sse.encode` does."""
    before, after = sse.halves(new.data, event=new.event, retry=new.retry)
    if new.id is not None:
        check_own_id(new.id)
        sse.id_field(new.id)
    topics = (new.topic, *new.alternates)
    head = orjson.dumps((topics, new.private, new.json, new.id, len(before)))
    return b"%b\n%b%b" % (head, before, after)


def decode(record: bytes, cursor: Cursor, at: float) -> Entry:
    """The inverse of `encode`, with its place in the journal; `at` is in unix seconds."""
    end = record.index(b"\n") + 1
    (topic, *alternates), private, json, own, size = orjson.loads(record[:end])
    id = str(cursor) if own is None else own
    split = end + size
    frame = b"%bid: %b\n%b" % (record[end:split], id.encode(), record[split:])
    return Entry(cursor, topic, frame, private, at, id, tuple(alternates), json)


def from_stream(rows: list[Any]) -> list[Entry]:
    """Entries as XRANGE gives them."""
    entries = []
    for id, (_, epoch, _, at, _, record) in rows:
        cursor = Cursor(epoch.decode(), int(id.partition(b"-")[0]))
        entries.append(decode(record, cursor, int(at) / 1000))
    return entries


def place_in_bus(message: bytes) -> tuple[Cursor, float, int]:
    """The cursor of a batch's first entry, its time, and where its records begin."""
    end = message.index(b"\n")
    epoch, first, at = message[:end].split(b" ")
    return Cursor(epoch.decode(), int(first)), int(at) / 1000, end + 1


def from_bus(message: bytes, skip: int = 0) -> Iterator[Entry]:
    """The entries of a batch as the bus brings it, but for the first `skip`."""
    first, at, position = place_in_bus(message)
    sequence = first.sequence
    while position < len(message):
        (size,) = _SIZE.unpack_from(message, position)
        begin, position = position + 4, position + 4 + size
        if sequence >= first.sequence + skip:
            yield decode(message[begin:position], Cursor(first.epoch, sequence), at)
        sequence += 1
