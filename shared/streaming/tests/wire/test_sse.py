import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eddyline.errors import BadRequest
from eddyline.wire import sse
from eddyline.wire.sse import Event

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"))


def parse(*chunks: bytes) -> list[Event]:
    parser = sse.Parser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    ends = sorted(place % (len(stream) + 1) for place in places)
    return [stream[a:b] for a, b in zip([0, *ends], [*ends, len(stream)], strict=True)]


def test_an_event_as_bytes() -> None:
    frame = sse.encode("one\ntwo", event="note", id="e.7", retry=1500)
    assert frame == b"event: note\nid: e.7\nretry: 1500\ndata: one\ndata: two\n\n"


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_data_cannot_forge_a_field(end: str) -> None:
    frame = sse.encode(f"a{end}event: admin{end}{end}id: 9")
    assert frame == b"data: a\ndata: event: admin\ndata: \ndata: id: 9\n\n"


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize("field", ["event", "id"])
def test_a_line_end_in_a_field_is_refused(field: str, end: str) -> None:
    with pytest.raises(BadRequest, match=re.escape(repr(f"x{end}data: forged"))):
        sse.encode("", **{field: f"x{end}data: forged"})  # type: ignore[arg-type]


def test_a_nul_in_an_id_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"'a\\x00b'"):
        sse.encode("", id="a\0b")
    with pytest.raises(BadRequest, match=r"'a\\x00b'"):
        sse.cursor_frame("a\0b")


@pytest.mark.parametrize("field", ["data", "event", "id"])
def test_half_a_surrogate_pair_is_the_callers_fault(field: str) -> None:
    with pytest.raises(BadRequest, match="ud800"):
        sse.encode(**{"data": "", field: "\ud800"})  # type: ignore[arg-type]


@given(TEXT, st.none() | LINE, st.none() | LINE, st.none() | st.integers(0, 10**9))
@example("\ndata: \ndata: x", "data: ", "data: ", None)
@example("retry: 7", "", None, None)
def test_an_event_is_read_back_without_a_parser(
    data: str, event: str | None, id: str | None, retry: int | None
) -> None:
    frame = sse.encode(data, event=event, id=id, retry=retry)
    assert sse.decode(frame) == (event, re.sub("\r\n|\r", "\n", data))
    assert sse.retry_of(frame) == retry


@given(
    st.lists(st.tuples(TEXT, st.none() | LINE, st.none() | LINE), max_size=5),
    st.lists(st.integers(0, 10_000), max_size=6),
)
@example([("a\r\nb\r", "x", "1"), ("", None, None)], [8, 9, 10, 11])
def test_what_is_encoded_and_cut_anywhere_comes_back(
    events: list[tuple[str, str | None, str | None]], places: list[int]
) -> None:
    stream = b"".join(sse.encode(data, event=event, id=id) for data, event, id in events)
    expected, last = [], ""
    for data, event, id in events:
        last = last if id is None else id
        expected.append(Event(re.sub("\r\n|\r", "\n", data), event or "message", last))
    assert parse(*cut(stream, places)) == expected


@given(st.binary(max_size=200), st.lists(st.integers(0, 10_000), max_size=8))
@example(b"data: a\r\rdata: b\r\n\r\n", [8, 8, 20])
@example(b"\xef\xbb\xbfdata: a\n\n", [1, 2])
def test_where_a_stream_is_cut_makes_no_difference(stream: bytes, places: list[int]) -> None:
    assert parse(*cut(stream, places)) == parse(stream)


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_each_line_end_ends_a_line(end: bytes) -> None:
    stream = end.join([b"event: note", b"data: a", b"data: b", b"", b""])
    assert parse(stream) == [Event("a\nb", "note")]


def test_a_carriage_return_ends_its_line_before_the_next_byte_is_there() -> None:
    parser = sse.Parser()
    assert list(parser.feed(b"data: a\r\r")) == [Event("a")]
    assert list(parser.feed(b"\ndata: b\n\n")) == [Event("b")]


def test_an_empty_chunk_changes_nothing() -> None:
    assert parse(b"data: a\r", b"", b"\n", b"data: b\n\n") == [Event("a\nb")]


def test_one_byte_order_mark_is_dropped() -> None:
    assert parse(b"\xef\xbb\xbfdata: a\n\n") == [Event("a")]
    assert parse(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n") == []
    assert parse(b"data: a\n\n\xef\xbb\xbfdata: b\n\n") == [Event("a")]
    assert parse(b"data: a\n\n", b"\xef\xbb\xbfdata: b\n\n") == [Event("a")]


# The examples of the WHATWG text, section 9.2.6.
@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [Event("YHOO\n+2\n10")]),
        (
            b": test stream\n\ndata: first event\nid: 1\n\n"
            b"data:second event\nid\n\ndata:  third\n\n",
            [Event("first event", id="1"), Event("second event"), Event(" third")],
        ),
        (b"data\n\ndata\ndata\n\ndata:", [Event(""), Event("\n")]),
        (b"data:test\n\ndata: test\n\n", [Event("test"), Event("test")]),
    ],
)
def test_the_examples_of_the_standard(stream: bytes, events: list[Event]) -> None:
    assert parse(stream) == events


def test_an_event_without_data_is_none_and_its_type_is_forgotten() -> None:
    assert parse(b"event: a\n\ndata: x\n\n") == [Event("x")]


def test_unknown_fields_and_comments_are_passed_over() -> None:
    parser = sse.Parser()
    events = list(
        parser.feed(b":hello\nDATA: no\n data: no\nfoo: bar\ndata: yes\n\n" + sse.COMMENT)
    )
    assert (events, parser.comments) == ([Event("yes")], 2)


def test_an_id_with_nul_is_ignored() -> None:
    assert parse(b"id: 1\n\nid: a\0b\ndata: x\n\n") == [Event("x", id="1")]


@pytest.mark.parametrize(
    ("value", "retry"),
    [("2000", 2000), ("", 5), ("-1", 5), ("1.5", 5), ("1e3", 5), ("²", 5), ("٣", 5), ("9 ", 5)],
)
def test_retry_takes_ascii_digits_only(value: str, retry: int) -> None:
    parser = sse.Parser()
    assert list(parser.feed(f"retry: 5\nretry: {value}\n\n".encode())) == []
    assert parser.retry == retry


def test_an_endless_retry_is_ignored() -> None:
    parser = sse.Parser()
    assert list(parser.feed(b"retry: " + b"9" * 5000 + b"\ndata: x\n\n")) == [Event("x")]
    assert parser.retry is None


def test_an_event_that_was_cut_off_is_dropped_and_its_id_with_it() -> None:
    # A client that had counted the id would resume after an event that it never got.
    parser = sse.Parser()
    assert list(parser.feed(b"id: 1\ndata: a\n\nid: 2\ndata: b\n")) == [Event("a", id="1")]
    assert parser.last_event_id == "1"
    assert list(parser.feed(b"\n")) == [Event("b", id="2")]
    assert parser.last_event_id == "2"


def test_a_cursor_frame_moves_the_id_and_fires_nothing() -> None:
    parser = sse.Parser()
    assert list(parser.feed(sse.cursor_frame("e.9"))) == []
    assert parser.last_event_id == "e.9"


def test_broken_utf8_becomes_replacement_characters() -> None:
    assert parse(b"data: \xff\xc3\n\n") == [Event("\ufffd\ufffd")]


@given(TEXT)
def test_a_comment_fires_nothing(text: str) -> None:
    parser = sse.Parser()
    assert list(parser.feed(sse.comment(text) + b"data: x\n\n")) == [Event("x")]
    assert (parser.last_event_id, parser.retry) == ("", None)


def test_a_retry_frame_is_understood() -> None:
    parser = sse.Parser()
    assert list(parser.feed(sse.retry_frame(2500))) == []
    assert parser.retry == 2500


def test_a_line_costs_as_much_as_it_is_long() -> None:
    """16 MB in pieces of 16 kB took 25 s: each piece copied all before it."""

    def cost(pieces: int) -> float:
        parser = sse.Parser()
        began = time.process_time()
        for piece in [b"data: ", *[b"a" * 16_000] * pieces]:
            assert list(parser.feed(piece)) == []
        (event,) = parser.feed(b"\n\n")
        assert len(event.data) == 16_000 * pieces
        return time.process_time() - began

    cost(10)
    assert cost(1024) < 24 * max(cost(128), 0.001)  # eight times as long: 64 times, if quadratic


def test_a_field_named_error_fires_no_event_and_is_kept() -> None:
    """llama.cpp's server ends a stream by it; the WHATWG text ignores unknown fields."""
    parser = sse.Parser()
    assert list(parser.feed(b'data: a\n\nerror: {"code": 500}\n\n')) == [Event("a")]
    assert parser.error == '{"code": 500}'
    assert sse.Parser().error is None
