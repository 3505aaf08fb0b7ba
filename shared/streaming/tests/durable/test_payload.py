"""Kinds of streams (section 9 of the protocol)."""

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eddyline.durable.payload import BYTES, JSON, TEXT, payload_of
from eddyline.errors import BadRequest


@pytest.mark.parametrize(
    ("content_type", "payload"),
    [
        ("application/json", JSON),
        ("Application/JSON; charset=utf-8", JSON),
        ("text/plain", TEXT),
        ("text/html;x=y", TEXT),
        ("application/ndjson", BYTES),
        ("application/octet-stream", BYTES),
        ("image/png", BYTES),
    ],
)
def test_the_media_type_decides(content_type, payload):
    assert payload_of(content_type) is payload


# The examples of section 9.1.2, and texts that reading and writing anew would change.
@pytest.mark.parametrize(
    ("body", "messages"),
    [
        (b'{"event": "created"}', [b'{"event": "created"}']),
        (b'[{"event": "a"}, {"event": "b"}]', [b'{"event": "a"}', b'{"event": "b"}']),
        (b"[[1,2], [3,4]]", [b"[1,2]", b"[3,4]"]),
        (b"[[[1,2,3]]]", [b"[[1,2,3]]"]),
        (b"[]", []),
        (b"", []),
        (b' \n[ 1.0 ,\r\n"a,]" ]\t', [b"1.0", b'"a,]"']),
        (b" null ", [b"null"]),
        (b"[12345678901234567890123, 0.1000]", [b"12345678901234567890123", b"0.1000"]),
        (b'["\\u00e4", "\xc3\xa4"]', [b'"\\u00e4"', b'"\xc3\xa4"']),
    ],
)
def test_one_level_of_an_array_is_a_batch_of_messages_as_they_were_sent(body, messages):
    assert JSON.split(body) == messages


@pytest.mark.parametrize(
    "body",
    [b"{", b"[1,]", b"[1 2]", b"NaN", b"[NaN]", b"\xff", b'["\xff"]', b"1 2", b"[" * 100_000],
)
def test_a_body_that_is_not_json_is_refused(body):
    with pytest.raises(BadRequest, match="not JSON"):
        JSON.split(body)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
)


@settings(max_examples=40)
@given(st.lists(values), st.sampled_from([None, 1, "\t"]))
def test_any_array_is_read_back_as_it_was(messages, indent):
    body = json.dumps(messages, indent=indent).encode()
    parts = JSON.split(body)
    assert [json.loads(part) for part in parts] == messages
    assert json.loads(JSON.join(parts)) == messages
    assert json.loads("\n".join(JSON.lines(parts))) == messages


def test_lines_of_text_end_as_clients_end_them():
    assert list(TEXT.lines([b"a\r", b"\nb\rc", b"\n"])) == ["a", "b", "c", ""]


def test_text_that_is_no_whole_character_has_no_lines():
    with pytest.raises(UnicodeDecodeError):
        TEXT.lines([b"\xc3"])


def test_other_bytes_are_in_base64_as_a_whole():
    parts = [b"a", b"\x00\xff", b"bc"]
    [line] = BYTES.lines(parts)
    assert base64.b64decode(line, validate=True) == b"a\x00\xffbc"
