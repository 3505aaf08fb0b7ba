"""Places: where a line ends in the files of a log, told so that any process finds it again."""

import base64
import os
import struct
from dataclasses import dataclass
from hashlib import blake2b
from typing import Self
from zlib import crc32

from eddyline.errors import BadCursor
from eddyline_logs.reading.file_chain import FileChain

#: Bytes from the start of the file, and just before the offset, that a fingerprint is made of.
HEAD = 256
BEFORE = 64

#: Nanoseconds that the clock of a file system may be behind.
_COARSE = 50_000_000

_BYTES = struct.Struct(">IQQQ8s")
_VERSION = "L"


@dataclass(frozen=True, slots=True)
class Place:
    """The byte `offset` of a file that had this inode, and was modified at `modified` (nanoseconds)
    when it was read. `source` is a checksum of the source's name.
    """

    source: int
    inode: int
    offset: int
    modified: int
    fingerprint: bytes

    def __str__(self) -> str:
        raw = _BYTES.pack(self.source, self.inode, self.offset, self.modified, self.fingerprint)
        return _VERSION + base64.urlsafe_b64encode(raw).decode()

    @classmethod
    def nowhere(cls, source: int, since: int) -> Self:
        """The place before a file that is not there yet; `since`: unix time in nanoseconds."""
        return cls(source, 0, 0, max(0, since - _COARSE), fingerprint_of(b"", b"", 0))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of `str`; anything else raises BadCursor."""
        try:
            raw = base64.b64decode(text[len(_VERSION) :], b"-_", validate=True)
            if text.startswith(_VERSION):
                return cls(*_BYTES.unpack(raw))
        except (ValueError, struct.error):
            pass
        raise BadCursor(f"{text[:80]!r} is no place in a log")

    def is_in(self, file: int) -> bool:
        """Whether an open file has the bytes before the offset. Reads: it blocks the thread."""
        if os.fstat(file).st_size < self.offset:
            return False
        head = os.pread(file, HEAD, 0)
        before = os.pread(file, BEFORE, max(0, self.offset - BEFORE))
        return fingerprint_of(head, before, self.offset) == self.fingerprint


def source_key(id: str) -> int:
    return crc32(id.encode("utf-8", "surrogatepass"))


def fingerprint_of(head: bytes, before: bytes, offset: int) -> bytes:
    """`head` and `before` may be longer than needed at their ends."""
    before = before[: min(BEFORE, offset)]
    return blake2b(head[: min(HEAD, offset)] + before, digest_size=8).digest()


def find(chain: FileChain, place: Place) -> int | None:
    """The file of a place, for the caller to close: by its inode, or a copy of its bytes; None
    where there is none. Reads: it blocks the thread.
    """
    copy = None
    for file in chain.files():
        same = os.fstat(file).st_ino == place.inode
        # A place before any byte is in each file: then the inode decides.
        if (same or (copy is None and place.offset)) and place.is_in(file):
            if not same:
                copy = file
                continue
            if copy is not None:
                os.close(copy)
            return file
        os.close(file)
    return copy


def successor(chain: FileChain, place: Place) -> int | None:
    """The oldest file that was written to after the place, whose own file is gone."""
    oldest = None
    for file in chain.files():
        later = os.fstat(file).st_mtime_ns > place.modified
        superseded = oldest if later else file
        oldest = file if later else oldest
        if superseded is not None:
            os.close(superseded)
    return oldest
