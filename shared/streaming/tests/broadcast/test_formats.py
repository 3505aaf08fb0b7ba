"""Formats: the same entries as server-sent events, with an envelope, as NDJSON, as a long poll."""

import time

import orjson
import pytest

from eddyline.broadcast.formats import (
    ENVELOPE,
    FORMATS,
    LINES,
    POLL,
    SSE,
    NdjsonLines,
    accepted,
    message,
)
from eddyline.journal.base import Entry, NewEntry
from eddyline.journal.cursor import Cursor
from eddyline.wire.sse import Parser

HEAD = Cursor("e", 9)


def entry(data: str = "x", **options: object) -> Entry:
    new = NewEntry("t", data, **options)  # type: ignore[arg-type]
    return Entry.from_new(new, Cursor("e", 7), 1000.5)


def test_a_message_has_what_the_publisher_gave() -> None:
    assert orjson.loads(orjson.dumps(message(entry("a\r\nb", event="kind", id="own")))) == {
        "topic": "t",
        "id": "own",
        "time": 1000.5,
        "event": "kind",
        "data": "a\nb",
    }


@pytest.mark.parametrize(
    ("data", "json", "value"),
    [("7", True, 7), ("7", False, "7"), ('{"a":[1]}', True, {"a": [1]}), ("", False, "")],
)
def test_data_is_json_only_where_it_was_published_as_json(data, json, value) -> None:
    line = LINES.entry(entry(data, json=json))
    assert orjson.loads(line)["data"] == value
    assert line.endswith(b"\n")


def test_an_envelope_says_where_an_event_comes_from() -> None:
    [event] = Parser().feed(ENVELOPE.entry(entry("1", json=True, event="kind")))
    assert (event.event, event.id) == ("kind", "e.7")
    envelope = orjson.loads(event.data)
    assert envelope == {"topic": "t", "id": "e.7", "time": 1000.5, "event": "kind", "data": 1}


def test_events_without_an_envelope_are_the_bytes_that_were_published() -> None:
    one = entry()
    assert SSE.entry(one) is one.frame


@pytest.mark.parametrize("format", [ENVELOPE, LINES, POLL])
def test_an_entry_is_rendered_once_for_all_audiences(format) -> None:
    one, equal, other = entry("one"), entry("one"), entry("other")
    assert format.entry(one) is format.entry(one)
    assert format.entry(equal) == format.entry(one)
    assert b"other" in format.entry(other)
    assert b"one" in format.entry(one)


@pytest.mark.parametrize(
    ("accept", "format"),
    [
        ("", SSE),
        ("*/*", SSE),
        ("text/event-stream", SSE),
        ("Application/X-NDJSON; q=0.9", LINES),
        ("application/x-ndjson, text/event-stream", SSE),
    ],
)
def test_a_client_gets_the_format_that_it_accepts(accept, format) -> None:
    assert accepted(accept) is format


def test_a_format_of_your_own_is_one_line(monkeypatch) -> None:
    class Upper(NdjsonLines):
        media_type = "application/x-upper"

        def render(self, entry: Entry) -> bytes:
            return entry.data.upper().encode() + b"\n"

    monkeypatch.setitem(FORMATS, Upper.media_type, Upper())
    assert accepted("application/x-upper").entry(entry("abc")) == b"ABC\n"


def test_an_ephemeral_event_moves_no_cursor() -> None:
    ephemeral = Entry(HEAD, "t", b"data: x\n\n", False, time.time(), "")
    for format in (SSE, ENVELOPE):
        [event] = Parser("before").feed(format.entry(ephemeral))
        assert event.id == "before"


def test_a_poll_is_one_object() -> None:
    body = POLL.join([POLL.entry(entry("1", json=True)), POLL.entry(entry("x"))], HEAD)
    answer = orjson.loads(body)
    assert [event["data"] for event in answer["events"]] == [1, "x"]
    assert answer["cursor"] == "e.9"
    assert orjson.loads(POLL.ending(HEAD, 5)) == {"events": [], "cursor": "e.9"}


def test_a_reset_is_told_in_every_format() -> None:
    told = {"reason": "trimmed", "oldest": "e.3"}
    for format in (SSE, ENVELOPE):
        [event] = Parser().feed(format.reset("trimmed", Cursor("e", 3), HEAD))
        assert (event.event, event.id) == ("eddyline.reset", "e.9")
        assert orjson.loads(event.data) == told
    for lines in (LINES, POLL):
        value = orjson.loads(lines.reset("trimmed", Cursor("e", 3), HEAD))
        assert (value["reset"], value["cursor"]) == (told, "e.9")


def test_lines_carry_the_cursor_where_there_is_no_event() -> None:
    assert orjson.loads(LINES.heartbeat(HEAD)) == {"cursor": "e.9"}
    assert orjson.loads(LINES.heartbeat(HEAD)) == {"cursor": "e.9"}
    assert orjson.loads(LINES.ending(HEAD, 700)) == {"cursor": "e.9", "retry": 700}
    assert LINES.heartbeat(None).strip() == b""
