"""The rules of one event; http/test_events.py has them over HTTP."""

import json

import orjson
import pytest

from eddyline.errors import BadRequest
from eddyline.journal.base import NewEntry
from eddyline_events.hub.publishing.publication import SCHEMA, entry_of, parse


def test_what_is_given_is_what_is_appended() -> None:
    given = {"topic": "a", "data": "x", "event": "e", "id": "i", "retry": 7, "private": True}
    assert set(given) == set(SCHEMA["properties"])
    assert entry_of(given, "k") == NewEntry("a", "x", "e", "i", 7, True, json=False, key="k")
    assert entry_of({"topic": "a"}) == NewEntry("a", "")
    nothing = {"topic": "a", "event": None, "id": None, "retry": None}
    assert entry_of(nothing) == NewEntry("a", "")


@pytest.mark.parametrize(
    ("data", "text"),
    [({"b": [1, 2.5, None]}, '{"b":[1,2.5,null]}'), (None, "null"), (0, "0"), ([], "[]")],
)
def test_data_that_is_no_string_is_sent_as_json(data, text) -> None:  # type: ignore[no-untyped-def]
    assert entry_of({"topic": "a", "data": data}) == NewEntry("a", text, json=True)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ({"topic": 7}, "topic: must be a string"),
        ({"topic": "a", "event": "x" * 257}, "event: must be a string of at most 256"),
        ({"topic": "a", "event": "x\0"}, "event: must not hold"),
        ({"topic": "a", "id": "x" * 129}, "id: must be 1-128"),
        ({"topic": "a", "id": "0a1b2c3d.17"}, "id: must name one event"),
        ({"topic": "a", "retry": True}, "retry: must be a whole number"),
        ({"topic": "a", "retry": 86_400_001}, "retry:"),
        ({"topic": "a", "private": "yes"}, "private: must be true or false (got 'yes')"),
    ],
)
def test_each_field_has_its_rule(value, complaint) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BadRequest) as raised:
        entry_of(value)
    assert complaint in raised.value.detail


def test_data_that_could_not_be_sent_is_refused_before_the_journal() -> None:
    with pytest.raises(BadRequest, match="Invalid JSON"):
        parse(b'{"topic": "a", "data": "\\ud800"}')
    deep = b'{"topic": "a", "data": ' + b"[" * 600 + b"]" * 600 + b"}"
    with pytest.raises(BadRequest, match="254 levels"):
        entry_of(parse(deep))
    assert entry_of({"topic": "a", "data": orjson.loads("[" * 200 + "]" * 200)}).json


@pytest.mark.parametrize(
    "number", ["18446744073709551616", "-9223372036854775809", "123456789012345678901234567890"]
)
def test_an_integer_that_would_be_rounded_is_refused(number: str) -> None:
    """RFC 8259 section 6 leaves its precision to the parser: orjson makes it a float."""
    with pytest.raises(BadRequest, match=number[:40]):
        parse(f'{{"topic": "a", "data": {{"n": [1, {number}]}}}}'.encode())


@pytest.mark.parametrize(
    "text",
    [
        "18446744073709551615",
        "-9223372036854775808",
        "12345678901234567890.5",
        "1e200",
        '"a \\" 123456789012345678901234567890"',
        '{"123456789012345678901234567890": 1}',
    ],
)
def test_numbers_that_fit_and_digits_in_texts_are_taken(text: str) -> None:
    assert parse(text.encode()) == json.loads(text)
