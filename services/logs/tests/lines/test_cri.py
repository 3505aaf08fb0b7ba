"""CRI's lines: partial ones are joined, wherever they are cut."""

import itertools
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eddyline_logs.files.base import File
from eddyline_logs.lines.cri import HEADER, Joiner, line_ends, line_start
from eddyline_logs.lines.lines import Line, Splitter

TIME = "2026-11-24T11:00:00.123456789Z"
LIMIT = 1000


def cri(stream: str, tag: str, text: bytes) -> bytes:
    return f"{TIME} {stream} {tag} ".encode() + text + b"\n"


def joined(data: bytes, *cuts: int, limit: int = LIMIT) -> list[Line]:
    splitter, joiner = Splitter(0, limit + HEADER), Joiner(limit)
    edges = [0, *sorted(cuts), len(data)]
    chunks = [data[a:b] for a, b in itertools.pairwise(edges)]
    return [line for chunk in chunks for line in joiner.join(splitter.feed(chunk))]


def texts(lines: list[Line]) -> list[tuple[str | None, bytes]]:
    return [(line.stream, line.raw) for line in lines]


def test_a_line_has_its_time_and_stream() -> None:
    data = cri("stderr", "F", b"a b  c")
    assert joined(data) == [Line(b"a b  c", False, len(data), TIME, "stderr")]


def test_partial_lines_are_joined_each_stream_by_itself() -> None:
    data = (
        cri("stdout", "P", "日".encode()[:2])
        + cri("stderr", "P", b"oh ")
        + cri("stdout", "F", "日".encode()[2:])
        + cri("stdout", "F", b"next")
        + cri("stderr", "F", b"no")
    )
    assert texts(joined(data)) == [
        ("stdout", "日".encode()),
        ("stdout", b"next"),
        ("stderr", b"oh no"),
    ]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"", b""),
        (b"plain text", b"plain text"),
        (b"2026-11-24T11:00:00Z stdin F x", b"2026-11-24T11:00:00Z stdin F x"),
        (b"2026-11-24T11:00:00Z stdout X x", b"2026-11-24T11:00:00Z stdout X x"),
        (b"2026-11-24T11:00:00Z stdout F", b""),
        (b"2026-11-24T11:00:00Z stdout F ", b""),
        (b"2026-11-24T12:00:00.1+01:00 stdout F:new:tags x", b"x"),
    ],
)
def test_what_is_no_such_line_stays_as_it_is(raw: bytes, text: bytes) -> None:
    [line] = joined(raw + b"\n")
    assert line.raw == text


def test_a_long_line_is_cut_and_says_so() -> None:
    data = cri("stdout", "P", b"x" * 7) + cri("stdout", "P", b"x" * 7) + cri("stdout", "F", b"x")
    assert [(len(line.raw), line.truncated) for line in joined(data, limit=10)] == [(10, True)]
    data = cri("stdout", "F", b"x" * 500) + cri("stdout", "F", b"y" * 10)
    assert [(line.raw, line.truncated) for line in joined(data, limit=10)] == [
        (b"x" * 10, True),
        (b"y" * 10, False),
    ]


def test_what_is_unfinished_can_be_had() -> None:
    joiner = Joiner(LIMIT)
    lines = Splitter(0, LIMIT).feed(cri("stdout", "P", b"a") + cri("stdout", "P", b"b"))
    assert list(joiner.join(lines)) == []
    assert texts(joiner.rest()) == [("stdout", b"ab")]
    assert joiner.rest() == []


#: Pieces of lines: stream, whether the line goes on, text.
PIECES = st.lists(
    st.tuples(
        st.sampled_from(["stdout", "stderr"]),
        st.sampled_from("PF"),
        st.binary(max_size=9).map(lambda text: text.replace(b"\n", b" ")),
    ),
    max_size=30,
)


def expected(pieces: list[tuple[str, str, bytes]]) -> list[tuple[str | None, bytes]]:
    held = {"stdout": b"", "stderr": b""}
    lines: list[tuple[str | None, bytes]] = []
    for stream, tag, text in pieces:
        held[stream] += text
        if tag == "F":
            lines.append((stream, held[stream]))
            held[stream] = b""
    return lines


@given(PIECES, st.lists(st.integers(0, 2000)))
def test_any_cut_gives_the_same_lines(
    pieces: list[tuple[str, str, bytes]], cuts: list[int]
) -> None:
    data = b"".join(cri(*piece) for piece in pieces)
    assert texts(joined(data, *cuts)) == expected(pieces)


@contextmanager
def written(path: Path, data: bytes) -> Iterator[File]:
    path.write_bytes(data)
    with closing(File(os.open(path, os.O_RDONLY))) as file:
        yield file


def last(data: bytes, ends: list[int], count: int) -> list[tuple[str | None, bytes]]:
    """The lines between the offsets, whichever line of the other stream begins in between."""
    start = max([0, *ends[:1]])
    return texts([line for line in joined(data, limit=1 << 20) if line.end > start][:count])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PIECES, st.integers(0, 2000))
def test_old_lines_and_what_comes_are_all_lines_once(
    tmp_path: Path, pieces: list[tuple[str, str, bytes]], end: int
) -> None:
    data = b"".join(cri(*piece) for piece in pieces)
    with written(tmp_path / "0.log", data) as file:
        start = line_start(file, min(end, len(data)), LIMIT)
        ends = line_ends(file, start, 100, 1 << 20, LIMIT)
    assert ends[:1] == [0]
    old = [line for line in joined(data) if line.end in ends]
    assert texts(old) + texts(joined(data[start:])) == expected(pieces)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.lists(st.integers(0, 40_000), max_size=20), st.integers(0, 25), st.booleans())
def test_lines_over_the_edges_of_blocks(
    tmp_path: Path, sizes: list[int], count: int, with_stderr: bool
) -> None:
    pieces = [("stderr", "F", b"alone")] if with_stderr else []
    for number, size in enumerate(sizes):
        text = b"%d:" % number + b"x" * size
        cuts = [*range(0, len(text), 16_000), len(text)]
        parts = [text[a:b] for a, b in itertools.pairwise(cuts)]
        pieces += [("stdout", "P", part) for part in parts[:-1]] + [("stdout", "F", parts[-1])]
    data = b"".join(cri(*piece) for piece in pieces)
    with written(tmp_path / "0.log", data) as file:
        ends = line_ends(file, len(data), count + 1, 1 << 22, 1 << 20)
    assert last(data, ends, count) == (expected(pieces)[-count:] if count else [])


def test_no_more_bytes_than_allowed_are_read(tmp_path: Path) -> None:
    data = b"".join(cri("stdout", "F", b"%09d" % n) for n in range(10_000))
    with written(tmp_path / "0.log", data) as file:
        ends = line_ends(file, len(data), 10_000, 200, LIMIT)
    size = len(data) // 10_000
    assert ends == [len(data) - 2 * size, len(data) - size, len(data)]


def test_a_line_begins_with_its_first_piece(tmp_path: Path) -> None:
    whole = cri("stdout", "F", b"whole")
    begun = cri("stdout", "P", b"a") + cri("stderr", "F", b"in between") + cri("stdout", "P", b"b")
    for data in (whole + begun, whole + begun + TIME.encode()):
        with written(tmp_path / "0.log", data) as file:
            assert line_start(file, len(data), LIMIT) == len(whole)
            assert line_start(file, len(whole), LIMIT) == len(whole)
