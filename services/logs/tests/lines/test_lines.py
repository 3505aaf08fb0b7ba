"""Bytes to lines, however they are cut."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddyline_logs.lines.lines import Line, Splitter


def split(*chunks: bytes, limit: int = 100) -> list[Line]:
    splitter = Splitter(0, limit)
    return [line for chunk in chunks for line in splitter.feed(chunk)]


def test_a_line_is_held_until_its_end() -> None:
    splitter = Splitter(7, 100)
    assert list(splitter.feed(b"abc")) == []
    assert list(splitter.feed(b"def\ng")) == [Line(b"abcdef", False, 14)]
    assert splitter.offset == 15
    assert splitter.partial() == Line(b"g", False, 15, partial=True)
    assert list(splitter.feed(b"\n")) == [Line(b"g", False, 16)]
    assert splitter.partial() is None


@given(st.binary(max_size=60), st.lists(st.integers(0, 60)))
def test_any_cut_gives_the_same_lines(data: bytes, cuts: list[int]) -> None:
    data = data.replace(b"\0", b"\n") + b"\n"
    edges = [0, *sorted(cuts), len(data)]
    chunks = [data[a:b] for a, b in itertools.pairwise(edges)]
    lines = split(*chunks)
    assert [line.raw for line in lines] == data.split(b"\n")[:-1]
    assert lines[-1].end == len(data)


def test_a_long_line_is_cut_and_says_so_and_the_next_is_whole() -> None:
    lines = split(b"x" * 150, b"x" * 150 + b"\nnext\n" + b"y" * 100 + b"\n")
    assert lines == [
        Line(b"x" * 100, True, 301),
        Line(b"next", False, 306),
        Line(b"y" * 100, False, 407),
    ]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"plain", "plain"),
        (b"", ""),
        (b"dos\r", "dos"),
        (b"50%\r100%", "50%\r100%"),
        ("日本 \u2028".encode(), "日本 \u2028"),
        (b"bad \xff\xfe", "bad ��"),
        (b"data: x\0", "data: x\0"),
    ],
)
def test_the_json_of_a_line(raw: bytes, text: str) -> None:
    assert json.loads(Line(raw, False, 0).json("app.log")) == {"line": text, "source": "app.log"}


def test_the_json_of_a_long_line() -> None:
    value = json.loads(Line(b"x", True, 0).json("app.log"))
    assert value == {"line": "x", "source": "app.log", "truncated": True}
