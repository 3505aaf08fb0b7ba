"""Lines: bytes as they come to whole lines, and a line to the JSON that clients get."""

from collections.abc import Iterator
from dataclasses import dataclass

import orjson


@dataclass(slots=True)
class Line:
    """A line without its line end.

    `truncated`: it was longer than the limit. `end`: the offset after its line end. `time` and
    `stream` stand in the lines of containers: their runtime writes them. `partial`: it has no line
    end yet.
    """

    raw: bytes
    truncated: bool
    end: int
    time: str | None = None
    stream: str | None = None
    partial: bool = False

    def json(self, source: str) -> str:
        text = self.raw.removesuffix(b"\r").decode("utf-8", "replace")
        value: dict[str, object] = {"line": text, "source": source}
        if self.stream is not None:
            value |= {"time": self.time, "stream": self.stream}
        if self.truncated:
            value["truncated"] = True
        if self.partial:
            value["partial"] = True
        return orjson.dumps(value).decode()


class Splitter:
    """Feed it bytes cut anywhere, from `offset` of the file on; it keeps at most `limit` bytes of
    an unfinished line.
    """

    def __init__(self, offset: int, limit: int) -> None:
        self.offset = offset
        self._limit = limit
        self._held = bytearray()
        self._truncated = False

    def feed(self, data: bytes) -> Iterator[Line]:
        """The whole lines so far. Read the iterator to its end before the next call."""
        *ends, rest = data.split(b"\n")
        for part in ends:
            self.offset += len(part) + 1
            if self._held or self._truncated or len(part) > self._limit or part[:1] == b"\0":
                self._hold(part)
                yield self._take()
            else:
                yield Line(part, False, self.offset)
        self._hold(rest)
        self.offset += len(rest)

    def partial(self) -> Line | None:
        """The line that has no line end yet, as far as it was fed."""
        if not self._held:
            return None
        return Line(bytes(self._held), self._truncated, self.offset, partial=True)

    def _hold(self, part: bytes) -> None:
        if not self._held:
            # The hole that a writer leaves whose file was truncated under it.
            part = part.lstrip(b"\0")
        room = self._limit - len(self._held)
        self._held += part[:room]
        if len(part) > room:
            self._truncated = True

    def _take(self) -> Line:
        line = Line(bytes(self._held), self._truncated, self.offset)
        self._held.clear()
        self._truncated = False
        return line
