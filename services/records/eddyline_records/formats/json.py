"""Rows as JSON objects: one a line, or the elements of an array.

JSON has no bytes, and no number beyond the finite ones: a blob is `{"$base64": "…"}`, and an
infinity is null, unless the client wants a text.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from eddyline_records.formats.base import Body, Format, Options, base64_object, converted
from eddyline_records.sources.base import Encode, Row


class JsonLines:
    """An encoder of rows as JSON objects, one a line, with a member for each column.

    `objects` does the same for a source that has its rows as JSON objects. `before` and `after` are
    the bytes around an object.
    """

    def __init__(self, columns: Sequence[str], before: str = "", after: str = "") -> None:
        self._columns = columns
        self._before = before
        self._after = after + "\n"
        self._framed = bool(before)

    def __call__(self, rows: Sequence[Row]) -> bytes:
        # A source's row may end in its key, which has no name here unless the client asked for it.
        objects = (dict(zip(self._columns, row, strict=False)) for row in rows)
        if self._framed:
            return b"".join(_line({"row": value}) for value in objects)
        return b"".join(map(_line, objects))

    def objects(self, texts: Sequence[str]) -> bytes:
        between = self._after + self._before
        return (self._before + between.join(texts) + self._after).encode()


def ndjson(columns: Sequence[str]) -> Encode:
    """One JSON object a line, with a member for each column."""
    return JsonLines(columns)


def framed_lines(columns: Sequence[str], options: Options) -> Encode:
    """As `lines`, and each object is the member `row` of its line: no row looks like the end."""
    return converted(options, JsonLines(columns, '{"row":', "}"))


def lines(columns: Sequence[str], options: Options) -> Body:
    return Body(converted(options, ndjson(columns)), tells=True)


def array(columns: Sequence[str], options: Options) -> Body:
    """Its last bracket is there in a whole body alone."""

    def encode(rows: Sequence[Row]) -> bytes:
        objects = (dict(zip(columns, row, strict=False)) for row in rows)
        return b"".join(b",\n" + orjson.dumps(value, base64_object) for value in objects)

    return Body(converted(options, encode), b"[", b",\n", b"]\n")


#: https://github.com/ndjson/ndjson-spec, https://jsonlines.org: the same bytes.
NDJSON = Format("ndjson", ("application/x-ndjson", "application/ndjson"), lines)
JSONL = Format("jsonl", ("application/jsonl", "application/json-lines"), lines)
JSON = Format("json", ("application/json",), array)


def _line(value: Any) -> bytes:
    return orjson.dumps(value, base64_object, orjson.OPT_APPEND_NEWLINE)
