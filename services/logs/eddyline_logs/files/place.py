"""Places: where a line ends in the files of a log, told so that any process finds it again."""

import struct
from base64 import b64decode, urlsafe_b64encode
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple, Self
from zlib import crc32

from eddyline.errors import BadCursor
from eddyline_logs.files.base import HEAD, File

#: Bytes just before the offset that a fingerprint is made of, beside the head of the file.
BEFORE = 64

#: Nanoseconds that the clock of a file system may be behind.
_COARSE = 50_000_000

#: Rotated files whose ends a place knows beside its own: a place has fewer than 128 characters.
OLDER = 2

_BYTES = struct.Struct(">IQQQ8s")
_SPOT = struct.Struct(">QQ8s")
_VERSION = "L"
#: Characters of the two.
_LONG, _SHORT = 48, 32


class Spot(NamedTuple):
    """The byte `offset` of a file that had this inode."""

    inode: int
    offset: int
    fingerprint: bytes

    def is_in(self, file: File) -> bool:
        """Whether an open file has the bytes before the offset. Reads: it blocks the thread."""
        end = file.end()
        if end is not None and end < self.offset:
            return False
        at = max(0, self.offset - BEFORE)
        before = file.pread(self.offset - at, at)
        if len(before) < self.offset - at:
            return False
        return fingerprint_of(file.pread(HEAD, 0), before, self.offset) == self.fingerprint


class Place(NamedTuple):
    """A spot of a file that was modified at `modified` (nanoseconds) when it was read.

    `source` is a checksum of the source's name. `older`: the ends of the files before it, the
    newest first, which may still be written to.
    """

    source: int
    modified: int
    spot: Spot
    older: tuple[Spot, ...] = ()

    def __str__(self) -> str:
        spot = self.spot
        raw = _BYTES.pack(self.source, spot.inode, spot.offset, self.modified, spot.fingerprint)
        return _VERSION + urlsafe_b64encode(raw).decode() + _texts(self.older)

    @classmethod
    def nowhere(cls, source: int, since: int) -> Self:
        """The place before a file that is not there yet; `since`: unix time in nanoseconds."""
        return cls(source, max(0, since - _COARSE), Spot(0, 0, fingerprint_of(b"", b"", 0)))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of `str`; anything else raises BadCursor."""
        long = len(_VERSION) + _LONG
        older = [text[at : at + _SHORT] for at in range(long, len(text), _SHORT)]
        try:
            if text.startswith(_VERSION) and len(older) <= OLDER:
                source, inode, offset, modified, known = _BYTES.unpack(_raw(text[1:long]))
                spots = tuple(Spot(*_SPOT.unpack(_raw(part))) for part in older)
                return cls(source, modified, Spot(inode, offset, known), spots)
        except (ValueError, struct.error):
            pass
        raise BadCursor(f"{text[:80]!r} is no place in a log")


@lru_cache(maxsize=256)
def _texts(spots: tuple[Spot, ...]) -> str:
    return "".join(urlsafe_b64encode(_SPOT.pack(*spot)).decode() for spot in spots)


def _raw(text: str) -> bytes:
    return b64decode(text, b"-_", validate=True)


def source_key(id: str) -> int:
    return crc32(id.encode("utf-8", "surrogatepass"))


def fingerprint_of(head: bytes, before: bytes, offset: int) -> bytes:
    """`head` and `before` may be longer than needed at their ends."""
    before = before[: min(BEFORE, offset)]
    return blake2b(head[: min(HEAD, offset)] + before, digest_size=8).digest()


def spot_of(file: File, offset: int) -> Spot:
    """The spot of an offset in an open file. Reads: it blocks the thread."""
    at = max(0, offset - BEFORE)
    head, before = file.pread(HEAD, 0), file.pread(offset - at, at)
    return Spot(file.identity[1], offset, fingerprint_of(head, before, offset))
