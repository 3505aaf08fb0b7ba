"""Formats of rows: bytes that a client can read."""

from collections.abc import Sequence

from eddyline.wire.ndjson import encode_many
from eddyline_records.sources.base import Encode, Row


def ndjson(columns: Sequence[str]) -> Encode:
    """One JSON object a line, with a member for each column."""

    def encode(rows: Sequence[Row]) -> bytes:
        # A source's row may end in its key, which has no name here unless the client asked for it.
        return encode_many(dict(zip(columns, row, strict=False)) for row in rows)

    return encode
