"""Server-sent events out of bytes, as they come."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """`id` is the last event id in force, as an EventSource would send it back."""

    data: str
    event: str
    id: str


class Parser:
    """Of one client, over all its connections.

    Of the last of them: `retry` is in milliseconds, where the server gave one; `blocks` and
    `events` are how many came.
    """

    __slots__ = ("_rest", "blocks", "events", "last_event_id", "retry")

    def __init__(self) -> None:
        self.last_event_id = ""
        self.reconnected()

    def reconnected(self) -> None:
        """A block that was cut off counts for nothing."""
        self._rest = b""
        self.retry: int | None = None
        self.blocks = self.events = 0

    def feed(self, data: bytes) -> list[Event]:
        """The events that are whole now."""
        data = self._rest + data if self._rest else data
        if b"\r" in data:
            # A pair that is cut between reads stays here until the other half is there.
            held = data[-1:] if data.endswith(b"\r") else b""
            data = data[: len(data) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        else:
            held = b""
        *blocks, rest = data.split(b"\n\n")
        self._rest = rest + held
        events = []
        for block in blocks:
            if block:
                self.blocks += 1
                event = self._event(block)
                if event is not None:
                    events.append(event)
        return events

    def _event(self, block: bytes) -> Event | None:
        """Moves the cursor, too: only the end of a block does."""
        data: list[str] = []
        name = "message"
        for line in block.decode("utf-8", "replace").split("\n"):
            field, _, value = line.partition(":")
            if value[:1] == " ":
                value = value[1:]
            if field == "data":
                data.append(value)
            elif field == "id":
                self.last_event_id = value
            elif field == "event":
                name = value
            elif field == "retry" and value.isdigit():
                self.retry = int(value)
        if not data:
            return None
        self.events += 1
        return Event(data[0] if len(data) == 1 else "\n".join(data), name, self.last_event_id)
