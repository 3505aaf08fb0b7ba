"""Offsets of streams that are kept by sequence and epoch: texts that sort as their records do."""

import re

from eddyline.durable.base import BadOffset
from eddyline.journal.cursor import Cursor

#: Names for the beginning and the end of any stream (section 8).
BEGINNING, NOW = "-1", "now"

#: The beginning of any stream, too: clients and the protocol's own tests take it for that.
ZERO = "0000000000000000_0000000000000000"

_OFFSET = re.compile(r"([0-9]{16})_([0-9a-z]{1,16})\Z")


def from_cursor(cursor: Cursor) -> str:
    """The sequence first, so that offsets sort over all epochs of a stream."""
    return f"{cursor.sequence:016d}_{cursor.epoch}"


def to_cursor(offset: str) -> Cursor | None:
    """The inverse of `from_cursor`; None is the beginning. Raises BadOffset."""
    if offset in (BEGINNING, ZERO):
        return None
    match = _OFFSET.match(offset)
    if match is None:
        raise BadOffset(f"{offset[:80]!r} is no offset: give back one that a response has named")
    return Cursor(match[2], int(match[1]))
