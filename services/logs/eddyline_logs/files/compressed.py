"""Compressed files, read as if they were not: `.gz` and `.zst`.

Bytes in the midst are found by unpacking all those before them. Streams that were closed are
therefore kept for a while: a client that reads page after page goes on where it was.
"""

import os
import sys
import zlib
from collections.abc import Callable
from threading import Lock
from typing import Protocol

from eddyline_logs.files.base import HEAD, File, Lost

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

#: Bytes that are read from the disk, and unpacked, at a time: a run of zeros grows a thousandfold.
_RAW = 16 * 1024
_UNPACKED = 256 * 1024

#: Streams that are kept after the files they belong to were closed.
_KEPT = 16

#: Identity, size and time of the compressed file.
_Key = tuple[int, int, int, int]


class Unpacker(Protocol):
    """One member of a compressed file."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    needs_input = True

    def __init__(self) -> None:
        self._object = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._object.decompress(data)


#: Unpackers by the end of a file's name.
KINDS: dict[str, Callable[[], Unpacker]] = {".gz": _Gzip, ".zst": zstd.ZstdDecompressor}


class _Stream:
    """Unpacks a file from its start on; holds the last bytes that were asked for."""

    def __init__(self, key: _Key, make: Callable[[], Unpacker]) -> None:
        self.key = key
        self.base = 0
        self.broken = False
        self._make = make
        self._unpacker = make()
        self._raw = b""
        self._raw_offset = 0
        self._data = bytearray()
        self._done = False

    def read(self, descriptor: int, size: int, offset: int) -> bytes:
        """`offset` is at least `base`."""
        while not self._done and self.base + len(self._data) < offset + size:
            dropped = min(offset - self.base, len(self._data))
            del self._data[:dropped]
            self.base += dropped
            self._unpack(descriptor)
        return bytes(self._data[offset - self.base : offset - self.base + size])

    def _unpack(self, descriptor: int) -> None:
        if not self._raw and self._unpacker.needs_input:
            self._raw = os.pread(descriptor, _RAW, self._raw_offset)
            self._raw_offset += len(self._raw)
            if not self._raw:
                self._done = self.broken = True
                return
        try:
            self._data += self._unpacker.decompress(self._raw, _UNPACKED)
        except (zlib.error, zstd.ZstdError):
            self._done = self.broken = True
            return
        self._raw = b""
        if self._unpacker.eof:
            self._next_member(descriptor)

    def _next_member(self, descriptor: int) -> None:
        # Zeros may follow the last member.
        self._raw = self._unpacker.unused_data.lstrip(b"\0")
        if not self._raw:
            self._raw = os.pread(descriptor, _RAW, self._raw_offset).lstrip(b"\0")
            self._raw_offset += len(self._raw)
        self._done = not self._raw
        self._unpacker = self._make()


class _Kept:
    """Streams that nobody uses at the moment. Called from many threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._streams: list[_Stream] = []

    def take(self, key: _Key, offset: int) -> _Stream | None:
        """The stream that needs to unpack the fewest bytes to get there."""
        with self._lock:
            fitting = [s for s in self._streams if s.key == key and s.base <= offset]
            best = max(fitting, key=lambda stream: stream.base, default=None)
            if best is not None:
                self._streams.remove(best)
            return best

    def give(self, stream: _Stream) -> None:
        with self._lock:
            self._streams.append(stream)
            del self._streams[:-_KEPT]


_KEPT_STREAMS = _Kept()


class CompressedFile(File):
    """The bytes that were compressed; `status` is that of the file on the disk."""

    compressed = True

    def __init__(self, descriptor: int, make: Callable[[], Unpacker]) -> None:
        super().__init__(descriptor)
        self._make = make
        status = os.fstat(descriptor)
        self._key = (*self.identity, status.st_size, status.st_mtime_ns)
        self._stream: _Stream | None = None
        self._head: bytes | None = None

    def end(self) -> int | None:
        return None

    def pread(self, size: int, offset: int) -> bytes:
        if offset == 0 and size == HEAD:
            # Each read of a log asks for the head: the stream must not go back for it.
            if self._head is None:
                self._head = _Stream(self._key, self._make).read(self.descriptor, HEAD, 0)
            return self._head
        stream = self._stream
        if stream is None or stream.base > offset:
            self._give_back()
            stream = _KEPT_STREAMS.take(self._key, offset) or _Stream(self._key, self._make)
        self._stream = stream
        data = stream.read(self.descriptor, size, offset)
        if stream.broken and len(data) < size:
            self.lost = Lost(None, "damaged")
        return data

    def close(self) -> None:
        self._give_back()
        super().close()

    def _give_back(self) -> None:
        if self._stream is not None:
            _KEPT_STREAMS.give(self._stream)
            self._stream = None
