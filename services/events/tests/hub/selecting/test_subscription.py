"""Queries and headers of a subscriber; http/test_events.py has the answers."""

import pytest
from fastapi import Request

from eddyline.broadcast.formats import ENVELOPE, LINES, POLL, SSE, Format
from eddyline.errors import BadRequest
from eddyline_events.hub.selecting.subscription import POLL_SECONDS, Subscription


def request(query: str = "", **headers: str) -> Request:
    fields = [(name.replace("_", "-").encode(), v.encode()) for name, v in headers.items()]
    return Request({"type": "http", "query_string": query.encode(), "headers": fields})


@pytest.mark.parametrize(
    ("query", "accept", "format"),
    [
        ("", "", SSE),
        ("", "*/*", SSE),
        ("envelope=1", "text/event-stream", ENVELOPE),
        ("", "application/x-ndjson", LINES),
        ("", "text/event-stream, application/x-ndjson;q=0.5", SSE),
        ("poll=true", "text/event-stream", POLL),
        ("poll=0", "", SSE),
    ],
)
def test_one_format_for_each_request(query: str, accept: str, format: Format) -> None:
    assert Subscription.from_request(request(query, accept=accept)).format is format


def test_the_header_beats_the_query_unless_it_is_empty() -> None:
    assert Subscription.from_request(request("after=a", last_event_id="b")).id == "b"
    assert Subscription.from_request(request("after=a", last_event_id="")).id == "a"
    assert Subscription.from_request(request()).id is None


def test_only_a_long_poll_has_a_timeout() -> None:
    assert Subscription.from_request(request("poll=1")).seconds == POLL_SECONDS
    assert Subscription.from_request(request("poll=1&timeout=1.5")).seconds == 1.5
    assert Subscription.from_request(request("timeout=1.5")).seconds is None
    for text in ("-1", "301", "inf", "soon", ""):
        with pytest.raises(BadRequest, match="timeout"):
            Subscription.from_request(request(f"poll=1&timeout={text}"))
