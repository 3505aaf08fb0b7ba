"""The last lines of a file, found from its end backwards. Blocks the thread: it reads."""

import os

from eddyline_logs.reading.lines import Line, Splitter

_BLOCK = 64 * 1024


def last_lines(file: int, end: int, count: int, *, max_bytes: int, line_limit: int) -> list[Line]:
    """At most `count` whole lines that end at or before the offset `end`, as far as `max_bytes`
    reach.
    """
    start = max(0, end - max_bytes)
    blocks: list[bytes] = []
    at, newlines = end, 0
    # One line end more than lines: that of the line before the first.
    while at > start and newlines <= count:
        size = min(_BLOCK, at - start)
        at -= size
        block = read_range(file, at, size)
        newlines += block.count(b"\n")
        blocks.append(block)
    lines = list(Splitter(at, line_limit).feed(b"".join(reversed(blocks))))
    # Reading did not begin at the start of the file: the first is the rest of a line.
    whole = lines[1:] if at > 0 else lines
    return whole[-count:] if count else []


def line_start(file: int, end: int, limit: int) -> int:
    """Where the unfinished line at the offset `end` begins, at most `limit` bytes before it."""
    start = max(0, end - limit)
    data = read_range(file, start, end - start)
    return start + data.rfind(b"\n") + 1


def read_range(file: int, offset: int, size: int) -> bytes:
    """The bytes of the range, as far as the file reaches."""
    parts = []
    while size > 0:
        part = os.pread(file, size, offset)
        if not part:
            break  # the file was truncated meanwhile
        parts.append(part)
        offset += len(part)
        size -= len(part)
    return b"".join(parts)
