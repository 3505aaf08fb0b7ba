"""The parts of the OpenAPI document that FastAPI cannot tell from the routes."""

from typing import NotRequired

from typing_extensions import TypedDict

from eddyline.errors import BadRequest, NotFound
from eddyline.service.openapi.operation import (
    ADMISSION,
    RESET_EVENT,
    Reset,
    Responses,
    event,
    problems,
    ref,
    stream,
)
from eddyline.wire.sse import EVENT_STREAM

_STATES = ["waiting", "unreadable", "reading", "rotated", "truncated", "partial", "gap", "end"]


class LogSource(TypedDict):
    source: str
    url: str


class LogList(TypedDict):
    sources: list[LogSource]


class LogLine(TypedDict):
    """`time` and `stream` are a container's; `truncated` says that the line was too long, `partial`
    that it has no end yet.
    """

    line: str
    source: str
    time: NotRequired[str]
    stream: NotRequired[str]
    truncated: NotRequired[bool]
    partial: NotRequired[bool]


class LogState(TypedDict):
    """The source that the type of the event tells something of. `bytes` were read before the file
    was `truncated`, `copied` says whether a copy has the rest, and `lost` how many bytes were seen
    and never read. Of a `gap`, `bytes` are those that are gone, and `reason` says why.
    """

    source: str
    bytes: NotRequired[int | None]
    reason: NotRequired[str]
    copied: NotRequired[bool]
    lost: NotRequired[int]


_STATE = event({"anyOf": [ref(LogState), ref(LogLine)]}, event={"enum": _STATES})

#: The types of the data of `LINES`.
Data = LogLine | LogState | Reset

LINES: Responses = {
    200: {
        "description": "Lines as they are written",
        "content": stream(EVENT_STREAM, {"anyOf": [event(ref(LogLine)), _STATE, RESET_EVENT]}),
    },
    **problems(BadRequest, NotFound),
    **ADMISSION,
}
