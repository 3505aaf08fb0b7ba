"""The end of a body, told in the body: `?framed=1`. A body without `end` is not whole."""

import hashlib
from collections.abc import Iterator
from typing import Any

from eddyline.wire.ndjson import encode as line
from eddyline_records.bodies.base import Counted, CursorOf, told
from eddyline_records.sources.base import Encode, Scan


class FramedBody:
    """The rows of each page and a `{"cursor": …}` after them; last, exactly one `{"end": …}`, or
    one `{"error": …}`.

    After an error the body has no regular end either.
    """

    def __init__(self, scan: Scan, encode: Encode, cursor_of: CursorOf) -> None:
        self._scan = scan
        self._cursor_of = cursor_of
        self._rows = Counted(encode)
        self._bytes = 0
        self._sha256 = hashlib.sha256()

    def pages(self) -> Iterator[bytes]:
        try:
            for page in self._scan.pages(self._rows):
                self._rows.hand_out()
                yield self._hashed(page + line({"cursor": self._cursor}))
        except Exception as error:
            if self._rows.rows:
                yield line({"error": {**told(error), **self._place}})
            raise
        yield line({"end": self._end()})

    @property
    def _cursor(self) -> str | None:
        return self._cursor_of(self._scan.summary())

    @property
    def _place(self) -> dict[str, Any]:
        return {"rows": self._rows.rows, "cursor": self._cursor}

    def _hashed(self, page: bytes) -> bytes:
        self._bytes += len(page)
        self._sha256.update(page)
        return page

    def _end(self) -> dict[str, Any]:
        summary = self._scan.summary()
        return {
            **self._place,
            "bytes": self._bytes,
            "sha256": self._sha256.hexdigest(),
            "changed": summary.changed,
            "moved": summary.moved,
            "replaced": summary.replaced,
        }
