"""Lines as container runtimes write them (CRI): `2026-11-24T11:00:00.123456789Z stdout F text`.

`P` in place of `F`: the line goes on in the stream's next one. Any other line stays as it is.
"""

import re
from collections.abc import Iterable, Iterator

from eddyline_logs.files.base import File, read_range
from eddyline_logs.lines.lines import Line, Splitter

#: Bytes that a line may have before its text.
HEADER = 64

_BLOCK = 64 * 1024

#: A tag may be followed by more, after colons; nobody has defined any yet.
_LINE = re.compile(rb"(\d{4}-\S{1,40}) (stdout|stderr) ([FP])(?::\S*)?(?: (.*))?\Z", re.DOTALL)


class Joiner:
    """Joins partial lines, those of stdout and of stderr apart, up to `limit` bytes of text."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: dict[str, Line] = {}

    def join(self, lines: Iterable[Line]) -> Iterator[Line]:
        """The joined lines. Read the iterator to its end before the next call."""
        for line in lines:
            match = _LINE.match(line.raw)
            if match is None:
                yield line
                continue
            stream = match[2].decode()
            held = self._held.pop(stream, None) or Line(b"", False, 0, match[1].decode(), stream)
            self._add(held, match[4] or b"", line)
            if match[3] == b"P":
                self._held[stream] = held
            else:
                yield held

    def rest(self) -> list[Line]:
        """The lines that a container which is gone left unfinished."""
        rest = list(self._held.values())
        self._held.clear()
        return rest

    def _add(self, held: Line, text: bytes, line: Line) -> None:
        room = self._limit - len(held.raw)
        held.raw += text[:room]
        held.truncated |= line.truncated or len(text) > room
        held.end = line.end


def line_ends(file: File, end: int, count: int, room: int, line_limit: int) -> list[int]:
    """The last `count` offsets up to `end` at which a joined line ends, or the file begins, as far
    as `room` bytes reach.
    """
    size = min(_BLOCK, room)
    while True:
        at = max(0, end - size)
        whole = list(Splitter(at, line_limit + HEADER).feed(read_range(file, at, end - at)))
        # Reading did not begin at the start of the file: the first is the rest of a line.
        lines = list(Joiner(line_limit).join(whole[1:] if at else whole))
        # The first joined line of each stream may lack its beginning, too.
        first = {line.stream: n for n, line in reversed(list(enumerate(lines))) if line.stream}
        ends = [line.end for line in lines]
        if at == 0:
            return [0, *ends][-count:]
        if size >= room or max(first.values(), default=0) < len(ends) - count:
            return ends[-count:]
        size = min(2 * size, room)


def line_start(file: File, end: int, limit: int) -> int:
    """The last offset up to `end` at which no line of either stream is unfinished, as far as two
    lines of `limit` bytes reach.
    """
    at = max(0, end - 2 * (limit + HEADER))
    whole = 0 if at == 0 else None
    partial: set[bytes] = set()
    *lines, _ = read_range(file, at, end - at).split(b"\n")
    for line in lines:
        at += len(line) + 1
        if (match := _LINE.match(line)) is not None:
            (partial.add if match[3] == b"P" else partial.discard)(match[2])
        if not partial:
            whole = at
    return at if whole is None else whole
