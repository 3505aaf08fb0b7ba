from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddyline.wire import ndjson

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("ab\n\r\u2028"), inner),
    max_leaves=8,
)


@given(VALUES)
def test_a_line_is_a_whole_value(value: Any) -> None:
    line = ndjson.encode(value)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert orjson.loads(line) == value


@given(st.lists(VALUES, max_size=5), st.integers(1, 7))
def test_what_is_encoded_and_cut_anywhere_comes_back(values: list[Any], size: int) -> None:
    parser, stream = ndjson.Parser(), ndjson.encode_many(values)
    chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert [value for chunk in chunks for value in parser.feed(chunk)] == values
    assert parser.rest == b""


def test_many_are_the_lines_of_each() -> None:
    assert ndjson.encode_many([1, {"a": "b"}]) == b'1\n{"a":"b"}\n'


def test_what_was_cut_off_stays_in_rest() -> None:
    parser = ndjson.Parser()
    assert list(parser.feed(b'{"a":1}\n{"a"')) == [{"a": 1}]
    assert parser.rest == b'{"a"'


def test_blank_lines_and_carriage_returns_are_passed_over() -> None:
    assert list(ndjson.Parser().feed(b"\n1\r\n \n\r\n2\n")) == [1, 2]


def test_a_line_that_is_no_json_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"JSON|unexpected"):
        list(ndjson.Parser().feed(b"{nonsense}\n"))
