"""A body of rows and nothing else, unless it fails: then it tells so, and has no regular end.

The block that tells is ClickHouse's (https://clickhouse.com/docs/interfaces/http, "Response error
handling"), after the rows. A tag that no row can know makes it no row.
"""

import secrets
from collections.abc import Iterator

import orjson

from eddyline_records.bodies.base import Counted, CursorOf, told
from eddyline_records.formats.base import Body
from eddyline_records.sources.base import Scan, SourceChanged

#: Characters of a tag, as ClickHouse has it.
TAG = 16

_MOVED = (
    "others wrote the dataset while it was read: rows up to its end were sent, but a row whose key"
    " was changed may be there twice or not at all; ask with snapshot=1, or with framed=1, which"
    " tells it without an error"
)


class PlainBody:
    """`headers`: those by which a client knows the block."""

    def __init__(self, scan: Scan, body: Body, cursor_of: CursorOf) -> None:
        self._scan = scan
        self._body = body
        self._cursor_of = cursor_of
        self._rows = Counted(body.encode)
        self._tag = secrets.token_hex(TAG // 2)

    @property
    def headers(self) -> dict[str, str]:
        if not self._body.tells:
            return {}
        return {"X-Stream-Exception-Tag": self._tag, "X-ClickHouse-Exception-Tag": self._tag}

    def pages(self) -> Iterator[bytes]:
        try:
            yield from self._whole()
        except Exception as error:
            if self._rows.rows and self._body.tells:
                yield self._block(error)
            raise

    def _whole(self) -> Iterator[bytes]:
        for page in self._scan.pages(self._rows):
            first = not self._rows.rows
            self._rows.hand_out()
            yield self._body.begin + page.removeprefix(self._body.separator) if first else page
        if self._scan.summary().moved:
            raise SourceChanged(_MOVED)
        yield self._body.end if self._rows.rows else self._body.begin + self._body.end

    def _block(self, error: Exception) -> bytes:
        cursor = self._cursor_of(self._scan.summary())
        message = orjson.dumps({"error": told(error), "rows": self._rows.rows, "cursor": cursor})
        lines = (
            b"",
            b"__exception__",
            self._tag.encode(),
            b"%b\n%d %b" % (message, len(message), self._tag.encode()),
            b"__exception__",
            b"",
        )
        return b"\r\n".join(lines)
