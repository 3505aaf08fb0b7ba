"""Byte ranges: those that a request asks for, and a body of several of them (RFC 9110 §14)."""

import re
from collections.abc import Sequence
from secrets import token_hex

#: Bytes `start` up to, not including, `end`.
Range = tuple[int, int]

#: A request for more ranges than this gets the whole: §14.2 allows it, as a guard against those
#: that ask for many small ones to cost the server more than themselves.
MOST = 100

#: Bytes between two ranges that cost less than the frame of another part (§15.3.7.2).
GAP = 80

_SPEC = re.compile(r"[ \t]*([0-9]*)-([0-9]*)[ \t]*")


class UnsatisfiableRange(Exception):
    """All ranges lie behind the end: 416 (§15.5.17)."""


def requested_ranges(header: str, size: int) -> list[Range]:
    """The ranges that a `Range` header asks for, of `size` bytes, in their order in the header.

    Ranges that overlap, or lie closer than the frame of a part is long, are one (§15.3.7.2), in the
    place of the first of them. An empty list stands for the whole: the header is of another unit,
    is not understood, or asks for too much. Raises UnsatisfiableRange.
    """
    unit, _, specs = header.strip(" \t").partition("=")
    given = [spec for spec in specs.split(",") if spec.strip(" \t")]
    if unit.lower() != "bytes" or not 0 < len(given) <= MOST:
        return []
    try:
        ranges = [_range(spec, size) for spec in given]
    except ValueError:
        return []
    # Ranges behind the end are left out as long as there is another one (§14.1.2).
    satisfiable = [each for each in ranges if each is not None]
    if not satisfiable:
        raise UnsatisfiableRange
    # A suffix of an empty file is satisfiable (§14.1.2), but no `Content-Range` can name it.
    return _coalesced(satisfiable) if size else []


def _range(spec: str, size: int) -> Range | None:
    """None for a range behind the end. Raises ValueError for a spec that is invalid (§14.1.1), or
    of thousands of digits.
    """
    match = _SPEC.fullmatch(spec)
    if match is None or match[1] == match[2] == "":
        raise ValueError(spec)
    if not match[1]:
        suffix = int(match[2])
        return (max(0, size - suffix), size) if suffix else None
    start = int(match[1])
    if match[2] and int(match[2]) < start:
        raise ValueError(spec)
    end = min(int(match[2]) + 1, size) if match[2] else size
    return (start, end) if start < size else None


def _coalesced(ranges: Sequence[Range]) -> list[Range]:
    """Each group of ranges as one, with the place of the group's first range in the request."""
    groups: list[tuple[int, int, int]] = []
    for (start, end), place in sorted((each, place) for place, each in enumerate(ranges)):
        if groups and start <= groups[-1][2] + GAP:
            first, group_start, group_end = groups[-1]
            groups[-1] = min(first, place), group_start, max(group_end, end)
        else:
            groups.append((place, start, end))
    return [(start, end) for _, start, end in sorted(groups)]


def content_range(part: Range, size: int) -> str:
    return f"bytes {part[0]}-{part[1] - 1}/{size}"


class Multipart:
    """The frame of a body of several ranges: `multipart/byteranges` (§14.6).

    Each part is `head(part)`, the bytes of the range, and `AFTER_PART`; `end` follows the last one.
    """

    AFTER_PART = b"\r\n"

    def __init__(self, ranges: Sequence[Range], size: int, media_type: str) -> None:
        boundary = token_hex(13)
        self._size = size
        self._part = f"--{boundary}\r\nContent-Type: {media_type}\r\nContent-Range: "
        self.end: bytes = f"--{boundary}--".encode()
        framing = sum(len(self.head(part)) + len(self.AFTER_PART) for part in ranges)
        content = sum(end - start for start, end in ranges)
        self.headers: dict[str, str] = {
            "content-type": f"multipart/byteranges; boundary={boundary}",
            "content-length": str(framing + content + len(self.end)),
        }

    def head(self, part: Range) -> bytes:
        return f"{self._part}{content_range(part, self._size)}\r\n\r\n".encode("latin-1")
