"""Rows as JSON objects: one a line, or the elements of an array.

JSON has no bytes, and no number beyond the finite ones: a blob is `{"$base64": "…"}`, and an
infinity is null, unless the client wants a text.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from eddyline_records.formats.base import Body, Format, Options, base64_object, converted
from eddyline_records.sources.base import Encode, Row


def ndjson(columns: Sequence[str]) -> Encode:
    """One JSON object a line, with a member for each column."""

    def encode(rows: Sequence[Row]) -> bytes:
        # A source's row may end in its key, which has no name here unless the client asked for it.
        return b"".join(_line(dict(zip(columns, row, strict=False))) for row in rows)

    return encode


def framed_lines(columns: Sequence[str], options: Options) -> Encode:
    """As `lines`, and each object is the member `row` of its line: no row looks like the end."""

    def encode(rows: Sequence[Row]) -> bytes:
        return b"".join(_line({"row": dict(zip(columns, row, strict=False))}) for row in rows)

    return converted(options, encode)


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
