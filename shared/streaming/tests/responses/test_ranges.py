from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddyline.responses.ranges import MOST, Multipart, UnsatisfiableRange, requested_ranges


@pytest.mark.parametrize(
    ("header", "ranges"),
    [
        ("bytes=0-0", [(0, 1)]),
        ("bytes=10-19", [(10, 20)]),
        ("bytes=90-", [(90, 100)]),
        ("bytes=-5", [(95, 100)]),
        ("bytes=-500", [(0, 100)]),
        ("bytes=90-500", [(90, 100)]),
        ("BYTES = 0-9", [(0, 10)]),
        ("bytes=0-9, 20-29", [(0, 10), (20, 30)]),
        ("bytes=20-29,\t0-9", [(0, 10), (20, 30)]),
        ("bytes=,0-9,,20-29,", [(0, 10), (20, 30)]),
        ("bytes=0-9,10-19", [(0, 20)]),
        ("bytes=0-50,20-29,40-60", [(0, 61)]),
        ("bytes=0-9,200-", [(0, 10)]),
        ("bytes=-0,0-9", [(0, 10)]),
        (f"bytes=0-{10**40}", [(0, 100)]),
    ],
)
def test_ranges_are_those_asked_for_in_order_and_apart(
    header: str, ranges: list[tuple[int, int]]
) -> None:
    assert requested_ranges(header, 100) == ranges


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=x-y",
        "bytes=9-3",
        "bytes=0-9,9-3",
        "bytes=0-9,x",
        "bytes=0",
        "bytes=+1-2",
        "bytes=1_0-20",
        "bytes=\u0663-",
        "bytes=--5",
        "bytes=1 0-20",
        "lines=1-2",
        f"bytes={'9' * 5000}-",
        "bytes=" + ",".join(f"{2 * n}-{2 * n}" for n in range(MOST + 1)),
    ],
)
def test_the_whole_is_sent_where_the_header_is_not_understood(header: str) -> None:
    assert requested_ranges(header, 1000) == []


@pytest.mark.parametrize(
    ("header", "size"),
    [("bytes=100-", 100), ("bytes=-0", 100), ("bytes=100-,200-300", 100), ("bytes=0-", 0)],
)
def test_ranges_that_all_lie_behind_the_end_cannot_be_satisfied(header: str, size: int) -> None:
    with pytest.raises(UnsatisfiableRange):
        requested_ranges(header, size)


specs = st.one_of(
    st.tuples(st.integers(0, 30), st.integers(0, 30)).map(lambda p: (min(p), max(p))),
    st.tuples(st.integers(0, 30), st.none()),
    st.tuples(st.none(), st.integers(0, 30)),
)


@given(st.lists(specs, min_size=1, max_size=6), st.integers(0, 25))
def test_each_byte_that_is_asked_for_is_sent_once(
    wanted: list[tuple[int | None, int | None]], size: int
) -> None:
    asked = set()
    for first, last in wanted:
        if first is None:
            assert last is not None
            asked |= set(range(max(0, size - last), size))
        else:
            asked |= set(range(first, size if last is None else min(last + 1, size)))
    header = ",".join(f"{'' if a is None else a}-{'' if b is None else b}" for a, b in wanted)
    try:
        ranges = requested_ranges(f"bytes={header}", size)
    except UnsatisfiableRange:
        ranges = []
    sent = [byte for start, end in ranges for byte in range(start, end)]
    assert sent == sorted(asked)
    assert all(end < start for (_, end), (start, _) in pairwise(ranges))


def test_a_multipart_body_is_as_long_as_it_says() -> None:
    content = bytes(range(100))
    ranges = [(0, 10), (20, 21), (99, 100)]
    parts = Multipart(ranges, 100, "text/plain; charset=utf-8")
    body = b"".join(
        parts.head(part) + content[part[0] : part[1]] + parts.AFTER_PART for part in ranges
    )
    body += parts.end
    assert parts.headers["content-length"] == str(len(body))
    boundary = parts.headers["content-type"].partition("boundary=")[2]
    assert body.startswith(
        f"--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Content-Range: bytes 0-9/100\r\n\r\n".encode()
        + content[:10]
    )
    assert body.endswith(content[99:] + f"\r\n--{boundary}--".encode())


def test_boundaries_differ() -> None:
    one, other = (Multipart([(0, 1), (3, 4)], 9, "text/plain") for _ in range(2))
    assert one.end != other.end
