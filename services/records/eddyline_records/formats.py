"""Formats of rows: bytes that a client can read.

JSON has no bytes, and no number beyond the finite ones: a blob is `{"$base64": "…"}`, and an
infinity is null.
"""

import base64
from collections.abc import Sequence
from typing import Any

import orjson

from eddyline_records.sources.base import Encode, Row


def ndjson(columns: Sequence[str]) -> Encode:
    """One JSON object a line, with a member for each column."""

    def encode(rows: Sequence[Row]) -> bytes:
        # A source's row may end in its key, which has no name here unless the client asked for it.
        return b"".join(_line(dict(zip(columns, row, strict=False))) for row in rows)

    return encode


def framed_ndjson(columns: Sequence[str]) -> Encode:
    """As `ndjson`, and each object is the member `row` of its line: no row looks like the end."""

    def encode(rows: Sequence[Row]) -> bytes:
        return b"".join(_line({"row": dict(zip(columns, row, strict=False))}) for row in rows)

    return encode


def _line(value: Any) -> bytes:
    return orjson.dumps(value, _base64, orjson.OPT_APPEND_NEWLINE)


def _base64(value: Any) -> dict[str, str]:
    if isinstance(value, bytes):
        return {"$base64": base64.b64encode(value).decode()}
    raise TypeError(f"a value of the type {type(value).__name__} has no JSON")
