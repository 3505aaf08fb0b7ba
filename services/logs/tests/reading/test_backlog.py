"""Where the last lines of real files begin."""

import gzip
import os
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eddyline_logs.files.base import File
from eddyline_logs.reading import snapshots
from eddyline_logs.reading.backlog import Backlog, Limits, last_lines, line_start
from eddyline_logs.sources.registry import Sources


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.log"


def backlog(path: Path, count: int, room: int = 1 << 20) -> Backlog:
    source = Sources.parse(str(path.parent)).find(path.name)
    published = snapshots.take(source, 1 << 20)
    return last_lines(source.chain(1 << 20), published, count, Limits(1 << 20, room))


def start(path: Path, data: bytes, count: int, room: int = 1 << 20) -> int:
    path.write_bytes(data)
    place = backlog(path, count, room).place
    assert place is not None
    return place.spot.offset


@pytest.mark.parametrize(
    ("data", "count", "rest"),
    [
        (b"", 10, b""),
        (b"a\nb\nc\n", 2, b"b\nc\n"),
        (b"a\nb\nc\n", 3, b"a\nb\nc\n"),
        (b"a\nb\nc\n", 10, b"a\nb\nc\n"),
        (b"a\nb\nunfinished", 1, b"b\nunfinished"),
        (b"unfinished", 1, b"unfinished"),
        (b"\n\n\n", 2, b"\n\n"),
    ],
)
def test_the_last_lines(path: Path, data: bytes, count: int, rest: bytes) -> None:
    assert data[start(path, data, count) :] == rest


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.integers(0, 3000), max_size=200), st.integers(1, 210))
def test_lines_over_the_edges_of_blocks(path: Path, sizes: list[int], count: int) -> None:
    lines = [b"%d:" % n + b"x" * size + b"\n" for n, size in enumerate(sizes)]
    data = b"".join(lines)
    assert data[start(path, data, count) :] == b"".join(lines[-count:])


def test_no_more_bytes_than_allowed_are_looked_at_and_that_is_told(path: Path) -> None:
    older = b"x" * 100 + b"\n"
    path.with_name("a.log.1").write_bytes(older)
    path.write_bytes(b"".join(b"%09d\n" % n for n in range(20_000)))
    found = backlog(path, 20_000, room=25)
    assert found.place is not None
    assert found.place.spot.offset == found.skipped - len(older)  # type: ignore[operator]
    assert 2 <= found.lines < 20_000
    assert backlog(path, 1, room=25).skipped == 0


def test_a_line_that_is_longer_than_all_that_is_looked_at_is_found(path: Path) -> None:
    data = b"a\n" + b"x" * 1_100_000 + b"\n"
    assert start(path, data, 1, room=1000) == 2


def test_the_last_lines_are_in_compressed_files_too(path: Path) -> None:
    lines = [b"%07d\n" % n for n in range(100_000)]
    path.with_name("a.log.2.gz").write_bytes(gzip.compress(b"".join(lines[:90_000])))
    path.with_name("a.log.1").write_bytes(b"".join(lines[90_000:]))
    path.write_bytes(b"")
    found = backlog(path, 12_000)
    assert found.place is not None
    assert (found.lines, found.skipped) == (12_000, 0)
    assert found.place.spot.offset == 88_000 * 8


@pytest.mark.parametrize(
    ("data", "start"), [(b"", 0), (b"a\n", 2), (b"a\nbc", 2), (b"abc", 0), (b"x" * 50, 40)]
)
def test_where_the_unfinished_line_begins(path: Path, data: bytes, start: int) -> None:
    path.write_bytes(data)
    with closing(File(os.open(path, os.O_RDONLY))) as file:
        assert line_start(file, len(data), 10) == start
