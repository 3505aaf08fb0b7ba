"""Events are those of an EventSource, however the bytes come."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from loadtests.sse import Event, Parser

TEXT = (
    b": hi\n\nid: a.1\ndata: x\ndata: y\n\nretry: 500\n\nevent: other\r\ndata:z\r\n\r\nid: a.2\n\n"
)
EVENTS = [Event("x\ny", "message", "a.1"), Event("z", "other", "a.1")]


@given(st.lists(st.integers(min_value=0, max_value=len(TEXT))))
def test_events_and_the_cursor_wherever_the_bytes_are_cut(cuts: list[int]) -> None:
    parser = Parser()
    places = [0, *sorted(cuts), len(TEXT)]
    events = [event for start, end in pairwise(places) for event in parser.feed(TEXT[start:end])]
    assert events == EVENTS
    assert (parser.last_event_id, parser.retry) == ("a.2", 500)
    assert (parser.blocks, parser.events) == (5, 2)


def test_an_event_without_its_end_is_none_and_moves_no_cursor() -> None:
    parser = Parser()
    assert len(parser.feed(b"id: a.1\ndata: x\n\nid: a.2\ndata: y\n")) == 1
    assert parser.last_event_id == "a.1"
    parser.reconnected()
    assert (parser.blocks, parser.events) == (0, 0)
    assert parser.feed(b"data: z\n\n") == [Event("z", "message", "a.1")]
