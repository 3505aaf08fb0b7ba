"""NDJSON: one JSON value a line (application/x-ndjson), and an incremental reader."""

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

NDJSON = "application/x-ndjson"


def encode(value: Any) -> bytes:
    """One line. JSON escapes line ends inside strings, so that a line is always a whole value."""
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


def encode_many(values: Iterable[Any]) -> bytes:
    return b"".join(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE) for value in values)


class Parser:
    """Feed it bytes cut anywhere; it yields values. Blank lines are passed over.

    `rest` holds the bytes after the last line end: if it is not empty, the stream was cut off.
    """

    def __init__(self) -> None:
        #: Joined once, at the line's end: otherwise a long one would be copied with each chunk.
        self._pieces: list[bytes] = []

    @property
    def rest(self) -> bytes:
        return b"".join(self._pieces)

    def feed(self, chunk: bytes) -> Iterator[Any]:
        first, *lines = chunk.split(b"\n")
        self._pieces.append(first)
        if not lines:
            return
        lines.insert(0, self.rest)
        self._pieces = [lines.pop()]
        for line in lines:
            if line.strip():
                yield orjson.loads(line)
