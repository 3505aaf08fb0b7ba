"""The last lines of real files."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eddyline_logs.reading.backlog import last_lines, line_start


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.log"


def last(path: Path, data: bytes, count: int, *, max_bytes: int = 1 << 20) -> list[bytes]:
    path.write_bytes(data)
    file = os.open(path, os.O_RDONLY)
    try:
        lines = last_lines(file, len(data), count, max_bytes=max_bytes, line_limit=1 << 20)
    finally:
        os.close(file)
    return [line.raw for line in lines]


@pytest.mark.parametrize(
    ("data", "count", "lines"),
    [
        (b"", 10, []),
        (b"a\nb\nc\n", 2, [b"b", b"c"]),
        (b"a\nb\nc\n", 3, [b"a", b"b", b"c"]),
        (b"a\nb\nc\n", 10, [b"a", b"b", b"c"]),
        (b"a\nb\nc\n", 0, []),
        (b"a\nb\nunfinished", 1, [b"b"]),
        (b"unfinished", 1, []),
        (b"\n\n\n", 2, [b"", b""]),
    ],
)
def test_the_last_lines(path: Path, data: bytes, count: int, lines: list[bytes]) -> None:
    assert last(path, data, count) == lines


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.integers(0, 3000), max_size=200), st.integers(0, 210))
def test_lines_over_the_edges_of_blocks(path: Path, sizes: list[int], count: int) -> None:
    lines = [b"%d:" % n + b"x" * size for n, size in enumerate(sizes)]
    data = b"".join(line + b"\n" for line in lines)
    assert last(path, data, count) == (lines[-count:] if count else [])


def test_no_more_bytes_than_allowed_are_read_and_the_first_line_is_whole(path: Path) -> None:
    data = b"".join(b"%09d\n" % n for n in range(1000))
    assert last(path, data, 1000, max_bytes=25) == [b"000000998", b"000000999"]


@pytest.mark.parametrize(
    ("data", "start"), [(b"", 0), (b"a\n", 2), (b"a\nbc", 2), (b"abc", 0), (b"x" * 50, 40)]
)
def test_where_the_unfinished_line_begins(path: Path, data: bytes, start: int) -> None:
    path.write_bytes(data)
    file = os.open(path, os.O_RDONLY)
    try:
        assert line_start(file, len(data), 10) == start
    finally:
        os.close(file)
