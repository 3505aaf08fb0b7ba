"""The values that a client of events gives and takes."""

import json
from dataclasses import dataclass
from typing import Any, NotRequired, Required, TypedDict


class Publication(TypedDict, total=False):
    """An event to publish. A text is sent as it is, any other value as JSON.

    `event`: its type, in place of `message`. `id`: the publisher's own. `retry`: milliseconds that
    clients wait before they come back. `private`: for subscribers that name the topic alone.
    """

    topic: Required[str]
    data: NotRequired[Any]
    event: NotRequired[str]
    id: NotRequired[str]
    retry: NotRequired[int]
    private: NotRequired[bool]


@dataclass(frozen=True, slots=True)
class Published:
    """The event is in the journal. `replayed`: an earlier attempt had brought it there."""

    id: str
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event of many that the hub does not take; `index` counts from 0."""

    index: int
    status: int
    detail: str


@dataclass(frozen=True, slots=True)
class Message:
    """An event as it came. `time` is in Unix seconds; one that no journal keeps has no `id`."""

    topic: str
    data: Any
    event: str = "message"
    id: str | None = None
    time: float | None = None


@dataclass(frozen=True, slots=True)
class Reset:
    """Events before this are gone: `trimmed`, `epoch`, `future` or `unknown`.

    Resume after `oldest` to get all that is retained.
    """

    reason: str
    oldest: str | None


@dataclass(frozen=True, slots=True)
class History:
    """Retained events, the oldest first. While there is `more`, ask again with `after=cursor`."""

    messages: list[Message]
    cursor: str
    more: bool
    reset: Reset | None = None


@dataclass(frozen=True, slots=True)
class Topic:
    """`cursor` is that of the topic's newest event."""

    topic: str
    cursor: str


@dataclass(frozen=True, slots=True)
class Subscriber:
    """`since` is in Unix seconds. `topics` are those that the caller may see."""

    id: str
    subject: str | None
    topics: list[str]
    since: float


@dataclass(frozen=True, slots=True)
class Ticket:
    """Good for one `GET /events?ticket=…`; `expires` is in Unix seconds."""

    ticket: str
    expires: float


def message_of(fields: dict[str, Any]) -> Message:
    """A message from the hub's envelope."""
    return Message(
        topic=fields["topic"],
        data=fields.get("data"),
        event=fields.get("event") or "message",
        id=fields.get("id"),
        time=fields.get("time"),
    )


def reset_of(fields: dict[str, Any]) -> Reset:
    return Reset(fields["reason"], fields.get("oldest"))


def loads(text: str | bytes) -> Any:
    """JSON in which whole numbers of any length stay exact: orjson rounds those beyond 64 bits."""
    return json.loads(text)
