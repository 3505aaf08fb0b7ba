from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddyline.files.ranges import GAP, MOST, Multipart, UnsatisfiableRange, requested_ranges


@pytest.mark.parametrize(
    ("header", "ranges"),
    [
        ("bytes=0-0", [(0, 1)]),
        ("bytes=10-19", [(10, 20)]),
        ("bytes=90-", [(90, 100)]),
        ("bytes=-5", [(95, 100)]),
        ("bytes=-500", [(0, 100)]),
        ("bytes=90-500", [(90, 100)]),
        ("BYTES=0-9", [(0, 10)]),
        ("bytes= 0-9", [(0, 10)]),
        (f"bytes=0-{10**40}", [(0, 100)]),
    ],
)
def test_one_range(header: str, ranges: list[tuple[int, int]]) -> None:
    """RFC 9110 §14.1.2, and §14.1 for the name of the unit."""
    assert requested_ranges(header, 100) == ranges


@pytest.mark.parametrize(
    ("header", "ranges"),
    [
        # §14.1.2: its own example, with the optional white space and the empty members of §5.6.1.
        ("bytes= 0-999, 4500-5499, -1000", [(0, 1000), (4500, 5500), (9000, 10000)]),
        ("bytes=,0-9,,2000-2009,", [(0, 10), (2000, 2010)]),
        # §14.1.2: a set is satisfiable where any of its ranges is.
        ("bytes=0-0,10000-", [(0, 1)]),
        ("bytes=-0,0-9", [(0, 10)]),
        # §15.3.7.2: the order of the request.
        ("bytes=2000-2009,\t0-9", [(2000, 2010), (0, 10)]),
        ("bytes=-2,0-1", [(9998, 10000), (0, 2)]),
        # §15.3.7.2: overlapping, touching and near ones are one, in the place of the first.
        ("bytes=0-9,10-19", [(0, 20)]),
        ("bytes=0-50,20-29,40-60", [(0, 61)]),
        (f"bytes=0-9,{10 + GAP}-{20 + GAP}", [(0, 21 + GAP)]),
        (f"bytes=0-9,{11 + GAP}-{20 + GAP}", [(0, 10), (11 + GAP, 21 + GAP)]),
        ("bytes=5000-5009,0-0,5005-5020", [(5000, 5021), (0, 1)]),
        ("bytes=" + ",".join(f"{2 * n}-{2 * n}" for n in range(MOST)), [(0, 2 * MOST - 1)]),
    ],
)
def test_several_ranges(header: str, ranges: list[tuple[int, int]]) -> None:
    assert requested_ranges(header, 10000) == ranges


def test_a_suffix_of_an_empty_file_is_the_whole() -> None:
    """RFC 9110 §14.1.2 calls it satisfiable, and no `Content-Range` can name it."""
    assert requested_ranges("bytes=-5", 0) == []


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
        "bytes =0-1",
        "bytes=0-5-7",
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


@given(st.lists(specs, min_size=1, max_size=6), st.integers(0, 25), st.sampled_from([1, 1000]))
def test_each_byte_that_is_asked_for_is_sent_once(
    wanted: list[tuple[int | None, int | None]], size: int, scale: int
) -> None:
    """`scale` draws the ranges apart: some of them are too far from each other to be one."""
    size *= scale
    asked: set[int] = set()
    specs = []
    for first, last in wanted:
        start, stop = (None if n is None else n * scale for n in (first, last))
        if start is None:
            assert stop is not None
            asked |= set(range(max(0, size - stop), size))
        else:
            asked |= set(range(start, size if stop is None else min(stop + 1, size)))
        specs.append(f"{'' if start is None else start}-{'' if stop is None else stop}")
    try:
        ranges = requested_ranges(f"bytes={','.join(specs)}", size)
    except UnsatisfiableRange:
        ranges = []
    sent = [byte for start, end in ranges for byte in range(start, end)]
    assert len(sent) == len(set(sent))
    assert asked <= set(sent)
    in_order = sorted(ranges)
    assert all(end + GAP < start for (_, end), (start, _) in pairwise(in_order))
    # Bytes that nobody asked for are those of gaps.
    extra = sorted(set(sent) - asked)
    assert all(any(byte + n in asked for n in range(1, GAP + 1)) for byte in extra)


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
