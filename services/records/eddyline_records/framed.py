"""The end of a body, told in the body: `?framed=1`. A body without `end` is not whole."""

import hashlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

from eddyline.errors import StreamingError
from eddyline.wire.ndjson import encode
from eddyline_records.sources.base import Encode, Scan


class FramedScan:
    """The lines of a scan, and exactly one line more: `{"end": …}`, or `{"error": …}`.

    After an error the body has no regular end either. An error before the first page is raised: it
    can still be an error status.
    """

    def __init__(self, scan: Scan) -> None:
        self._scan = scan
        self._rows = 0
        self._bytes = 0
        self._sha256 = hashlib.sha256()

    def pages(self, encode: Encode) -> Iterator[bytes] | AsyncIterator[bytes]:
        pages = self._scan.pages(encode)
        return self._framed(pages) if isinstance(pages, Iterator) else self._framed_async(pages)

    def _framed(self, pages: Iterator[bytes]) -> Iterator[bytes]:
        try:
            for page in pages:
                yield self._counted(page)
        except Exception as error:
            if self._rows:
                yield self._error(error)
            raise
        yield self._end()

    async def _framed_async(self, pages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for page in pages:
                yield self._counted(page)
        except Exception as error:
            if self._rows:
                yield self._error(error)
            raise
        yield self._end()

    def _counted(self, page: bytes) -> bytes:
        self._rows += page.count(b"\n")
        self._bytes += len(page)
        self._sha256.update(page)
        return page

    def _end(self) -> bytes:
        summary = self._scan.summary()
        told: dict[str, Any] = {
            "rows": self._rows,
            "bytes": self._bytes,
            "sha256": self._sha256.hexdigest(),
            "cursor": summary.cursor,
            "changed": summary.changed,
            "replaced": summary.replaced,
        }
        return encode({"end": told})

    def _error(self, error: Exception) -> bytes:
        title, detail = "Internal error", "the server failed; its log has the cause"
        if isinstance(error, StreamingError):
            title, detail = error.title, error.detail
        told = {"title": title, "detail": detail, "rows": self._rows}
        return encode({"error": {**told, "cursor": self._scan.summary().cursor}})
