"""The JSON of the hub's own API, as the OpenAPI document has it."""

from typing import Any, NotRequired

from typing_extensions import TypedDict

from eddyline.service.openapi.operation import Reset


class Message(TypedDict):
    """A published event. `time` is in Unix seconds, and `data` as it was published."""

    topic: str
    id: str
    time: float
    event: str
    data: Any


class Poll(TypedDict):
    """The answer of a long poll. `cursor` goes on, as `after` of the next one."""

    events: list[Message]
    cursor: str
    reset: NotRequired[Reset]


class Place(TypedDict):
    """The place in the stream. `retry` comes at its end: the milliseconds to wait."""

    cursor: str
    reset: NotRequired[Reset]
    retry: NotRequired[int]


class History(TypedDict):
    """`cursor` goes on, as `after` of the next request, while there is `more`."""

    events: list[Message]
    cursor: str
    more: bool
    reset: NotRequired[Reset]


class Topic(TypedDict):
    """`cursor` is that of the topic's newest event."""

    topic: str
    cursor: str


class TopicList(TypedDict):
    """`before` asks for the topics that follow, and is null at the end."""

    topics: list[Topic]
    before: str | None


class Subscriber(TypedDict):
    """`since` is in Unix seconds."""

    id: str
    subject: str | None
    topics: list[str]
    since: float


class SubscriberList(TypedDict):
    """`count` includes the subscribers that `limit` leaves out."""

    count: int
    subscribers: list[Subscriber]


class Ticket(TypedDict):
    """`expires` is in Unix seconds."""

    ticket: str
    expires: float


class Published(TypedDict):
    """The event is in the journal."""

    id: str


class LineError(TypedDict):
    status: int
    title: str
    detail: str


class LineResult(TypedDict):
    """One line of a batch. It has an `id`, or else an `error` with the number of the line.

    With `Prefer: return=minimal` only errors have one, and the last line has the sums.
    """

    id: NotRequired[str]
    replayed: NotRequired[bool]
    error: NotRequired[LineError]
    line: NotRequired[int]
    published: NotRequired[int]
    refused: NotRequired[int]
