"""Frames of a segment's log: JSON with a length and a checksum before it."""

import os
import struct
from collections.abc import Iterator
from typing import Any
from zlib import crc32

import orjson

_HEAD = struct.Struct("<II")

#: Bytes that are read at once.
_BLOCK = 64 * 1024


def frame(value: dict[str, Any]) -> bytes:
    """One frame."""
    payload = orjson.dumps(value)
    return _HEAD.pack(len(payload), crc32(payload)) + payload


def frames(fd: int, start: int, stop: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """The frames between two offsets of a file, each with the offset of its end.

    Ends at the first frame that is not whole, as a crash in the midst of a write leaves it.
    """
    buffer, at = b"", 0
    while True:
        head = _HEAD.size
        length, check = _HEAD.unpack_from(buffer, at) if len(buffer) - at >= head else (0, 0)
        if len(buffer) - at < head + length or not length:
            block = _block(fd, start + len(buffer), stop, head + length - (len(buffer) - at))
            if not block:
                return
            start, buffer, at = start + at, buffer[at:] + block, 0
            continue
        payload = buffer[at + head : at + head + length]
        if crc32(payload) != check:
            return
        at += head + length
        yield start + at, orjson.loads(payload)


def _block(fd: int, offset: int, stop: int, least: int) -> bytes:
    """At least so many bytes from an offset, or nothing where there are fewer."""
    if least <= 0 or offset + least > stop:
        return b""
    block = os.pread(fd, min(max(least, _BLOCK), stop - offset), offset)
    return block if len(block) >= least else b""
