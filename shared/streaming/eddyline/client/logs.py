"""Lines of a log, as they are written, and the notes of the service about its file."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from eddyline.client.api import Api
from eddyline.client.errors import Incomplete
from eddyline.client.events.messages import loads
from eddyline.client.followed import Followed
from eddyline.wire.sse import Event, Parser


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


async def last_lines(api: Api, source: str, lines: int) -> AsyncIterator[LogLine | LogNote]:
    """The last lines, and the end; raises Incomplete where the answer is cut."""
    query = [("lines", str(lines)), ("follow", "false")]
    parser = Parser()
    response = await api.request("GET", path_of(source), query)
    for event in parser.feed(response.content):
        yield _item(event)


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
