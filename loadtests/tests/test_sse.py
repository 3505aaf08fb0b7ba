"""Events are those of an EventSource, however the lines come."""

from collections.abc import Iterable

import pytest

from loadtests.sse import Event, Reader


class Body:
    """Gives lines as geventhttpclient does; an error where the body was cut short."""

    message_complete = True

    def __init__(self, lines: Iterable[bytes], cut: bool = False) -> None:
        self._lines = iter(lines)
        self._cut = cut

    def readline(self, sep: bytes = b"\n") -> bytes:
        line = next(self._lines, b"")
        if not line and self._cut:
            raise ConnectionError("Incomplete response.")
        return line


def lines(text: bytes) -> list[bytes]:
    return text.splitlines(keepends=True)


def test_events_and_where_to_resume() -> None:
    reader = Reader()
    text = b": hi\n\nid: a.1\ndata: x\ndata: y\n\nretry: 500\n\nevent: other\r\ndata:z\r\n\r\n"
    assert list(reader.events(Body(lines(text)))) == [
        Event("x\ny", "message", "a.1"),
        Event("z", "other", "a.1"),
    ]
    assert reader.last_event_id == "a.1"
    assert reader.retry == 500


def test_an_event_without_its_end_moves_no_cursor() -> None:
    reader = Reader()
    body = Body(lines(b"id: a.1\ndata: x\n\nid: a.2\ndata: y\n"), cut=True)
    events = reader.events(body)
    assert next(events) == Event("x", "message", "a.1")
    with pytest.raises(ConnectionError):
        next(events)
    assert reader.last_event_id == "a.1"
