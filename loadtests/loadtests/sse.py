"""Reads server-sent events as they come, from a response that was asked for with `stream=True`.

Not by `FastHttpSession.iter_lines`: that waits for 1,024 bytes, and takes a stream that broke off
for one that ended.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


class Lines(Protocol):
    """geventhttpclient's response, so far as it is used here."""

    message_complete: bool

    def readline(self, sep: bytes = b"\n") -> bytes: ...


@dataclass(frozen=True, slots=True)
class Event:
    """`id` is the last event id in force, as an EventSource would send it back."""

    data: str
    event: str
    id: str


@dataclass(slots=True)
class Reader:
    """One stream. `retry` is in milliseconds, where the server gave one."""

    last_event_id: str = ""
    retry: int | None = None

    def events(self, stream: Lines) -> Iterator[Event]:
        """Until the clean end; raises what geventhttpclient raises where the body was cut short."""
        data: list[str] = []
        name = "message"
        id = self.last_event_id
        for line in text_lines(stream):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "data":
                data.append(value)
            elif field == "event":
                name = value
            elif field == "id":
                id = value
            elif field == "retry" and value.isdigit():
                self.retry = int(value)
            elif not line:
                # A block that was cut off moves no cursor: only its end does.
                self.last_event_id = id
                if data:
                    yield Event("\n".join(data), name, id)
                data, name = [], "message"


def text_lines(stream: Lines) -> Iterator[str]:
    """Lines as soon as each is whole. `readline` returns nothing at the end of the body only."""
    while line := stream.readline(b"\n"):
        yield line.decode("utf-8", "replace").rstrip("\r\n")
