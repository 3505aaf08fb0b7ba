import csv as python
import io
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddyline_records.formats.base import Options
from eddyline_records.formats.csv import csv

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=10)
VALUES = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS)


def encoded(rows: list[Any], columns: tuple[str, ...] = ("a", "b"), **options: Any) -> str:
    body = csv(columns, Options(**options))
    return (body.begin + body.encode(rows) + body.end).decode()


def read(text: str) -> list[list[str]]:
    return list(python.reader(io.StringIO(text, newline="")))


@given(st.lists(st.tuples(TEXTS, VALUES), min_size=1, max_size=5))
def test_a_reader_of_rfc_4180_has_the_values_again(rows: list[Any]) -> None:
    header, *lines = read(encoded(rows))
    assert header == ["a", "b"]
    assert lines == [[a, b if isinstance(b, str) else repr(b)] for a, b in rows]


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ((None, ""), ',""'),
        (("a,b", 'say "x"'), '"a,b","say ""x"""'),
        (("two\r\nlines", " padded"), '"two\r\nlines"," padded"'),
        ((-5, 0.1), "-5,0.1"),
        ((b"\xff", math.inf), '"{""$base64"":""/w==""}",'),
        (("=1+1", "-5"), "=1+1,-5"),
    ],
)
def test_cells(row: tuple[Any, ...], line: str) -> None:
    assert encoded([row]) == f"a,b\r\n{line}\r\n"


def test_the_text_of_null_is_quoted_where_it_is_a_text() -> None:
    assert encoded([(None, "NA")], null="NA") == 'a,b\r\nNA,"NA"\r\n'


def test_the_guard_is_for_texts_that_a_spreadsheet_would_run_and_never_for_numbers() -> None:
    """A guard on all cells spoilt -5 (grafana/grafana#17363)."""
    assert encoded([("=1+1", -5), ("@x", "x")], guard=True) == "a,b\r\n'=1+1,-5\r\n'@x,x\r\n"


def test_infinities_and_large_integers_by_the_options() -> None:
    row = (-math.inf, 2**53)
    assert encoded([row], nonfinite="string", int64="string") == f"a,b\r\n-Infinity,{2**53}\r\n"


def test_the_names_of_columns_are_texts() -> None:
    assert encoded([], ('a"b', "c,d")) == '"a""b","c,d"\r\n'
