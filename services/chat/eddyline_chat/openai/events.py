"""The events of an OpenAI stream, cut out of its bytes."""

from eddyline.errors import UpstreamError
from eddyline.wire import sse

#: Bytes of an event, or of comments without one.
_EVENT_LIMIT = 1024 * 1024


class Events:
    """Feed it bytes cut anywhere; it returns the type and the data of each event.

    Nearly all servers write an event as one line `data: …` and an empty line, all ended by LF. Such
    events are cut out by a `split`; all others go through the parser of the WHATWG's text, which
    takes ten times as long.

    `error`: the value of a field of this name, by which llama.cpp's server tells its faults.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._pending = 0
        self._parser = sse.Parser()
        self._plain = True

    @property
    def error(self) -> str | None:
        return self._parser.error

    def feed(self, data: bytes) -> list[tuple[str, bytes]]:
        """Raises UpstreamError where more than `_EVENT_LIMIT` bytes hold no event."""
        events: list[tuple[str, bytes]] = []
        if self._plain and b"\r" not in data:
            *blocks, self._rest = (self._rest + data).split(b"\n\n")
            for block in blocks:
                if self._parser.error is not None:
                    break  # after an error nothing counts
                if block.startswith(b"data:") and b"\n" not in block:
                    events.append(("message", block[5:].strip(b" ")))
                else:
                    self._parse(block + b"\n\n", events)
        else:
            # The parser stands before an empty line: it has seen whole blocks alone.
            self._plain = False
            rest, self._rest = self._rest, b""
            self._parse(rest + data, events)
        self._pending = 0 if events else self._pending + len(data)
        if self._pending > _EVENT_LIMIT:
            raise UpstreamError(f"the upstream sent {self._pending} bytes without an event")
        return events

    def _parse(self, data: bytes, events: list[tuple[str, bytes]]) -> None:
        for event in self._parser.feed(data):
            if self._parser.error is None:
                events.append((event.event, event.data.strip().encode()))
