"""Lines of a log, as they are written, and the notes of the service about its file."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from eddyline.client.api import Api
from eddyline.client.errors import Incomplete
from eddyline.client.events.messages import loads
from eddyline.client.followed import Followed
from eddyline.wire.sse import Event, Parser

#: The event after all lines that were there.
END = "end"


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line. `fields` has all that the service says of it: `time`, `stream`, `truncated`, …"""

    line: str
    source: str
    id: str
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LogNote:
    """An event about the file: `rotated`, `truncated`, `waiting`, `partial`, …

    `gap` and `eddyline.reset` tell that lines before this are gone.
    """

    kind: str
    fields: dict[str, Any]
    id: str

    @property
    def is_loss(self) -> bool:
        return self.kind in ("gap", "eddyline.reset")


def tail(
    api: Api, source: str, lines: int, after: str | None, state_file: Path | None
) -> Followed[LogLine | LogNote]:
    """The lines of a source as they are written, and the notes about its file."""
    path = path_of(source)
    query = [("lines", str(lines))]
    return Followed(
        lambda last_event_id: api.source(path, query, last_event_id),
        _item,
        stream=str(api.at(path)),
        after=after,
        state_file=state_file,
    )


async def last_lines(api: Api, source: str, lines: int) -> AsyncGenerator[LogLine | LogNote, None]:
    """The last lines, until their end; raises Incomplete where the answer has none."""
    query = [("lines", str(lines)), ("follow", "false")]
    parser = Parser()
    try:
        async with api.stream("GET", path_of(source), query) as response:
            async for chunk in response.aiter_bytes():
                for event in parser.feed(chunk):
                    if event.event == END:
                        return
                    yield _item(event)
    except httpx.TransportError as error:
        raise Incomplete(f"the lines were cut: {error or type(error).__name__}") from error
    raise Incomplete("the lines ended without their end")


async def sources(api: Api) -> list[str]:
    found = loads((await api.request("GET", "logs")).content)
    return [each["source"] for each in found["sources"]]


def path_of(source: str) -> str:
    return f"logs/{quote(source)}"


def _item(event: Event) -> LogLine | LogNote:
    fields = loads(event.data)
    if not isinstance(fields, dict):
        raise Incomplete(f"{event.data[:80]!r} is none of the events of a log")
    if event.event == "message":
        return LogLine(fields["line"], fields["source"], event.id, fields)
    return LogNote(event.event, fields, event.id)
