"""How a subscriber wants its events, by the query and headers of its request."""

from dataclasses import dataclass

from fastapi import Request

from eddyline.broadcast.formats import (
    ENVELOPE,
    LINES,
    POLL,
    POLL_SECONDS,
    POLLED_LINES,
    SSE,
    Format,
    accepted,
)
from eddyline.errors import BadRequest

#: Seconds: the longest poll that is granted.
MAX_POLL_SECONDS = 300.0

_FLAGS = {"1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True, slots=True)
class Subscription:
    """`seconds`: how long the stream lasts at most; None for no limit of its own."""

    topics: list[str]
    id: str | None
    format: Format
    seconds: float | None

    @classmethod
    def from_request(cls, request: Request) -> "Subscription":
        """Raises BadRequest that names the parameter."""
        query = request.query_params
        poll, envelope = flag(request, "poll"), flag(request, "envelope")
        # The header wins: EventSource connects again with its first URL, whose `after` is old.
        id = request.headers.get("last-event-id") or query.get("after")
        seconds = _seconds(query.get("timeout")) if poll else None
        return cls(query.getlist("topic"), id, _format(request, poll, envelope), seconds)


def flag(request: Request, name: str) -> bool:
    """A parameter that is 1, true, 0, false or not there; raises BadRequest."""
    value = request.query_params.get(name, "0").lower()
    if value not in _FLAGS:
        raise BadRequest(f"{name}={value[:80]!r}: must be 1 or 0")
    return _FLAGS[value]


def _format(request: Request, poll: bool, envelope: bool) -> Format:
    format = accepted(request.headers.get("accept", ""))
    if poll:
        return POLLED_LINES if format is LINES else POLL
    return ENVELOPE if envelope and format is SSE else format


def _seconds(text: str | None) -> float:
    if text is None:
        return POLL_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= MAX_POLL_SECONDS:
        raise BadRequest(f"timeout={text[:80]!r}: must be 0-{MAX_POLL_SECONDS:g} seconds")
    return seconds
