"""Reads of an open file: one that never waits for a disk, and one of all its bytes."""

import os
import sys
from collections.abc import Callable
from hashlib import sha256

#: Bytes of one read of many.
READ = 1024 * 1024


def read_cached(file: int, count: int, offset: int) -> bytes | None:
    """The `count` bytes from `offset` on, if they are in the page cache.

    None: they are not, the file ends before, or its file system cannot tell.
    """
    if sys.platform != "linux":
        return None
    data = bytearray(count)
    try:
        read = os.preadv(file, [data], offset, os.RWF_NOWAIT)
    except OSError:  # the read would block, or the file system cannot tell
        return None
    return bytes(data) if read == count else None


def sha256_of(file: int, size: int, stops: Callable[[], bool] = lambda: False) -> bytes | None:
    """The digest of the first `size` bytes; None where there are fewer, or it `stops`; blocks."""
    digest = sha256()
    at = 0
    while at < size:
        chunk = os.pread(file, min(READ, size - at), at)
        if not chunk or stops():
            return None
        digest.update(chunk)
        at += len(chunk)
    return digest.digest()
