"""The answer to each kind of request for a file, by the section of RFC 9110 that says so."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eddyline.files.dates import write_date
from eddyline.files.plan import Plan, depends_on_content, plan
from eddyline.files.version import FileVersion

SECOND = 10**9
MODIFIED = 1_600_000_000
NOW = 1_700_000_000.0
SIZE = 10_000

FILE = FileVersion(SIZE, MODIFIED * SECOND, MODIFIED * SECOND, 7)
#: Put in place a day after it was modified, as by `cp -p` or `rsync -t`.
COPY = replace(FILE, changed=(MODIFIED + 86400) * SECOND)
#: Written in this second: its tag is weak, and its date is not told.
FRESH = replace(FILE, modified=int(NOW) * SECOND, changed=int(NOW) * SECOND)
EMPTY = replace(FILE, size=0)

TAG = FILE.etag(NOW)
DATE = write_date(MODIFIED)
EARLIER, LATER = write_date(MODIFIED - 1), write_date(MODIFIED + 1)
FUTURE = write_date(int(NOW) + 60)


def ask(*headers: tuple[str, str], method: str = "GET", version: FileVersion = FILE) -> Plan:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return plan(method, raw, version, NOW)


PART = ("Range", "bytes=0-9")


@pytest.mark.parametrize(
    ("section", "headers", "status"),
    [
        ("13.1.1", [("If-Match", TAG)], 200),
        ("13.1.1", [("If-Match", "*")], 200),
        ("13.1.1", [("If-Match", f'"other", {TAG}')], 200),
        ("5.6.1", [("If-Match", f'"other",, {TAG} ,')], 200),
        ("5.3", [("If-Match", '"other"'), ("If-Match", TAG)], 200),
        ("13.1.1", [("If-Match", '"other"')], 412),
        ("8.8.3.2", [("If-Match", f"W/{TAG}")], 412),
        ("13.1.1", [("If-Match", TAG.strip('"'))], 412),
        ("13.1.1", [("If-Match", "")], 412),
        ("13.1.1", [("If-Match", f"{TAG} garbage")], 412),
        ("13.1.1", [("If-Match", TAG), PART], 206),
        ("13.1.1", [("If-Match", '"other"'), PART], 412),
        ("13.1.4", [("If-Unmodified-Since", DATE)], 200),
        ("13.1.4", [("If-Unmodified-Since", LATER)], 200),
        ("13.1.4", [("If-Unmodified-Since", FUTURE)], 200),
        ("13.1.4", [("If-Unmodified-Since", EARLIER)], 412),
        ("13.1.4", [("If-Unmodified-Since", EARLIER), PART], 412),
        ("13.1.4", [("If-Unmodified-Since", DATE), PART], 206),
        ("13.1.4", [("If-Unmodified-Since", "yesterday")], 200),
        ("13.1.4", [("If-Unmodified-Since", EARLIER), ("If-Unmodified-Since", EARLIER)], 200),
        ("13.1.4", [("If-Match", TAG), ("If-Unmodified-Since", EARLIER)], 200),
        ("13.2.2", [("If-Match", '"other"'), ("If-None-Match", TAG)], 412),
        ("13.2.2", [("If-Unmodified-Since", EARLIER), ("If-None-Match", TAG)], 412),
        ("13.2.2", [("If-Match", TAG), ("If-None-Match", TAG)], 304),
        ("13.1.2", [("If-None-Match", TAG)], 304),
        ("13.1.2", [("If-None-Match", "*")], 304),
        ("8.8.3.2", [("If-None-Match", f"W/{TAG}")], 304),
        ("13.1.2", [("If-None-Match", f'"a,b", {TAG}')], 304),
        ("13.1.2", [("If-None-Match", f'"a, {TAG[1:-1]}, b"')], 200),
        ("13.1.2", [("If-None-Match", '"other"')], 200),
        ("13.1.2", [("If-None-Match", TAG.strip('"'))], 200),
        ("13.1.2", [("If-None-Match", f"w/{TAG}")], 200),
        ("14.2", [("If-None-Match", TAG), PART], 304),
        ("13.1.2", [("If-None-Match", '"other"'), PART], 206),
        ("13.1.3", [("If-Modified-Since", DATE)], 304),
        ("13.1.3", [("If-Modified-Since", LATER)], 304),
        ("13.1.3", [("If-Modified-Since", EARLIER)], 200),
        ("13.1.3", [("If-Modified-Since", FUTURE)], 200),
        ("13.1.3", [("If-Modified-Since", "0")], 200),
        ("5.6.7", [("If-Modified-Since", "Sunday, 13-Sep-20 12:26:40 GMT")], 304),
        ("5.6.7", [("If-Modified-Since", "Sun Sep 13 12:26:40 2020")], 304),
        ("14.2", [("If-Modified-Since", DATE), PART], 304),
        ("13.1.3", [("If-None-Match", '"other"'), ("If-Modified-Since", DATE)], 200),
        ("13.1.3", [("If-None-Match", TAG), ("If-Modified-Since", EARLIER)], 304),
        ("13.1.5", [("If-Range", TAG)], 200),
        ("13.1.5", [("If-Range", TAG), PART], 206),
        ("13.1.5", [("If-Range", '"other"'), PART], 200),
        ("8.8.3.2", [("If-Range", f"W/{TAG}"), PART], 200),
        ("13.1.5", [("If-Range", f'{TAG}, "other"'), PART], 200),
        ("13.1.5", [("If-Range", TAG), ("If-Range", TAG), PART], 200),
        ("13.1.5", [("If-Range", "garbage"), PART], 200),
        ("13.1.5", [("If-Range", "1 Jan 2023 00:00:00 +99999999999999999999"), PART], 200),
        ("13.1.5", [("If-Range", DATE), PART], 206),
        ("5.6.7", [("If-Range", "Sun Sep 13 12:26:40 2020"), PART], 206),
        ("13.1.5", [("If-Range", LATER), PART], 200),
        ("13.1.5", [("If-Range", EARLIER), PART], 200),
        ("13.1.5", [("If-Range", '"other"'), ("Range", f"bytes={SIZE}-")], 200),
        ("14.2", [("Range", "lines=0-9")], 200),
        ("14.2", [("Range", "bytes=9-0")], 200),
        ("14.1.1", [("Range", "bytes=+1-2")], 200),
        ("14.1.1", [("Range", "bytes=0_1-2")], 200),
        ("5.3", [PART, ("Range", "bytes=20-29")], 200),
        ("15.5.17", [("Range", f"bytes={SIZE}-")], 416),
        ("14.1.2", [("Range", f"bytes=0-0,{SIZE}-")], 206),
    ],
)  # fmt: skip
def test_a_get(section: str, headers: list[tuple[str, str]], status: int) -> None:
    answer = ask(*headers)
    assert answer.status == status, f"RFC 9110 section {section}"
    assert answer.headers["etag"] == TAG


@pytest.mark.parametrize("section", ["9.3.2", "14.2"])
@pytest.mark.parametrize("wanted", ["0-9", f"{SIZE}-", "0-0,5000-5009", "x"])
def test_a_head_has_no_ranges(section: str, wanted: str) -> None:
    answer = ask(("Range", f"bytes={wanted}"), method="HEAD")
    assert (answer.status, answer.spans) == (200, []), f"RFC 9110 section {section}"
    assert answer.headers == ask().headers


@pytest.mark.parametrize(
    ("header", "status"), [(("If-None-Match", TAG), 304), (("If-Match", '"other"'), 412)]
)
def test_a_head_has_preconditions(header: tuple[str, str], status: int) -> None:
    """RFC 9110 §13.2.2; its header fields are those of a GET (§9.3.2)."""
    assert ask(header, method="HEAD") == ask(header)
    assert ask(header).status == status


def test_other_methods_get_the_whole() -> None:
    """RFC 9110 §14.2: ranges are for GET alone."""
    asked = [PART, ("If-None-Match", TAG), ("If-Match", '"other"')]
    assert ask(*asked, method="POST") == ask()


def test_the_whole() -> None:
    assert ask() == Plan(
        200,
        {
            "accept-ranges": "bytes",  # §14.3
            "etag": TAG,
            "last-modified": DATE,
            "content-length": str(SIZE),
        },
        [(0, SIZE)],
    )


def test_one_part() -> None:
    """RFC 9110 §15.3.7.1 and §14.4."""
    answer = ask(("Range", f"bytes=-{2 * SIZE}"))
    assert answer.spans == [(0, SIZE)]
    answer = ask(("Range", "bytes=5-9"))
    assert answer.spans == [(5, 10)]
    own = {"content-length": "5", "content-range": f"bytes 5-9/{SIZE}"}
    assert answer.headers == {**ask().headers, **own}


def test_several_parts() -> None:
    """RFC 9110 §15.3.7.2: no `Content-Range` but in the parts, which are in the order asked for."""
    answer = ask(("Range", "bytes=-10,0-9"))
    assert answer.spans == [(SIZE - 10, SIZE), (0, 10)]
    assert set(answer.headers) == {"accept-ranges", "etag", "last-modified"}


def test_a_range_that_cannot_be_satisfied() -> None:
    """RFC 9110 §15.5.17: the size; no body, which a client might add to its file."""
    answer = ask(("Range", f"bytes={SIZE}-"))
    assert answer.headers["content-range"] == f"bytes */{SIZE}"
    assert (answer.headers["content-length"], answer.spans) == ("0", ())


def test_not_modified_has_the_tag_and_no_length() -> None:
    """RFC 9110 §15.4.5, and §8.6: a length would be that of the file."""
    assert ask(("If-None-Match", TAG)) == Plan(304, {"etag": TAG})


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 200),
        ([("Range", "bytes=0-")], 416),
        ([("Range", "bytes=-5")], 200),
        ([("Range", "bytes=0-,-5")], 200),
        ([("If-None-Match", TAG)], 200),
        ([("If-None-Match", EMPTY.etag(NOW))], 304),
    ],
)
def test_an_empty_file(headers: list[tuple[str, str]], status: int) -> None:
    """RFC 9110 §14.1.2: a suffix of it is satisfiable; never a part of no bytes."""
    answer = ask(*headers, version=EMPTY)
    assert (answer.status, list(answer.spans)) == (status, [])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("If-Match", FRESH.etag(NOW))], 412),
        ([("If-None-Match", FRESH.etag(NOW))], 304),
        ([("If-Range", FRESH.etag(NOW)), PART], 200),
        ([("If-Range", write_date(int(NOW))), PART], 200),
        ([("If-Modified-Since", write_date(int(NOW)))], 200),
        ([("If-Unmodified-Since", write_date(int(NOW) - 1))], 412),
        ([PART], 206),
    ],
)
def test_a_file_that_was_written_a_moment_ago(headers: list[tuple[str, str]], status: int) -> None:
    """RFC 9110 §8.8.1 and §8.8.2.2: another write may have the same time."""
    answer = ask(*headers, version=FRESH)
    assert answer.status == status
    assert "last-modified" not in answer.headers


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (("If-Range", DATE), 200),
        (("If-Range", COPY.etag(NOW)), 206),
        (("If-Range", TAG), 200),
        (("If-Unmodified-Since", DATE), 200),
        (("If-Unmodified-Since", write_date(MODIFIED + 86400)), 206),
        (("If-Match", TAG), 412),
    ],
)
def test_no_part_of_a_copy_that_took_the_time_over_goes_beside_the_original(
    header: tuple[str, str], status: int
) -> None:
    """RFC 9110 §8.8.2.2: the date may stand for two versions, and §14.2: ranges are optional."""
    assert ask(header, PART, version=COPY).status == status


def test_if_match_is_asked_before_the_date_that_it_replaces() -> None:
    headers = [("If-Match", COPY.etag(NOW)), ("If-Unmodified-Since", DATE), PART]
    assert ask(*headers, version=COPY).status == 206


#: Its digest is known; clients may know it by either tag.
KNOWN = replace(FILE, sha256=bytes(range(32)))
CONTENT_TAG = KNOWN.etag(NOW)


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (("If-Match", CONTENT_TAG), 206),
        (("If-Match", TAG), 206),
        (("If-Match", f'"other", {TAG}'), 206),
        (("If-Range", CONTENT_TAG), 206),
        (("If-Range", TAG), 206),
        (("If-Range", f"W/{TAG}"), 200),
        (("If-None-Match", CONTENT_TAG), 304),
        (("If-None-Match", TAG), 304),
    ],
)
def test_both_tags_name_a_version_and_the_answer_has_the_one_that_was_asked_for(
    header: tuple[str, str], status: int
) -> None:
    """RFC 9110 §15.3.7.3: parts may be joined where they have the same strong tag."""
    assert CONTENT_TAG != TAG
    answer = ask(header, PART, version=KNOWN)
    assert answer.status == status
    assert answer.headers["etag"] in header[1]
    assert ask(PART, version=KNOWN).headers["etag"] == CONTENT_TAG
    assert ask(PART, version=replace(KNOWN, keeps_tag=True)).headers["etag"] == TAG


def test_a_condition_on_the_content_is_told_from_others() -> None:
    for name in ("if-match", "if-none-match", "if-range"):
        assert depends_on_content([(name.encode(), f'"x", {CONTENT_TAG}'.encode())])
        assert not depends_on_content([(name.encode(), TAG.encode())])
    assert not depends_on_content([(b"range", CONTENT_TAG.encode()), (b"x", CONTENT_TAG.encode())])


@pytest.mark.parametrize("seconds", [253_402_300_800, 2**40, -(2**40), 0, int(NOW) + 60])
def test_no_date_of_a_file_is_an_error(seconds: int) -> None:
    version = replace(FILE, modified=seconds * SECOND)
    for name in ("If-Modified-Since", "If-Unmodified-Since", "If-Range"):
        for date in (DATE, FUTURE, write_date(0), write_date(253_402_300_799)):
            assert ask((name, date), PART, version=version).status in (200, 206, 304, 412)


TAGS = st.sampled_from(
    [TAG, CONTENT_TAG, f"W/{TAG}", '"other"', "*", '"', "", f'{TAG},"x"', "W/", '"a"b']
)
DATES = st.sampled_from([DATE, EARLIER, LATER, FUTURE, "0", "Sun Sep 13 12:26:40 2020"])
NUMBER = st.one_of(st.just(""), st.integers(0, 2 * SIZE).map(str), st.just("9" * 30))
RANGES = st.lists(st.tuples(NUMBER, NUMBER).map("-".join), max_size=5).map(
    lambda specs: "bytes=" + ",".join(specs)
)
LATIN = st.text(st.characters(max_codepoint=255), max_size=30)
VALUES = st.one_of(TAGS, DATES, RANGES, LATIN)
NAMES = ["If-Match", "If-None-Match", "If-Unmodified-Since", "If-Modified-Since", "If-Range"]
HEADERS = st.lists(st.tuples(st.sampled_from([*NAMES, "Range", "Range"]), VALUES), max_size=6)
VERSIONS = st.sampled_from([FILE, KNOWN, COPY, FRESH, EMPTY, replace(FILE, modified=2**70)])


@given(st.sampled_from(["GET", "HEAD"]), HEADERS, VERSIONS)
def test_any_request_gets_an_answer_that_is_true_to_itself(
    method: str, headers: list[tuple[str, str]], version: FileVersion
) -> None:
    answer = ask(*headers, method=method, version=version)
    names = {name for name, _ in headers}
    assert answer.status in (200, 206, 304, 412, 416)
    assert answer.headers["etag"] in version.tags(NOW)
    assert all(0 <= start < end <= version.size for start, end in answer.spans)
    if answer.status == 206:
        assert method == "GET"
        assert [name for name, _ in headers].count("Range") == 1
        assert ("content-range" in answer.headers) == (len(answer.spans) == 1)
    if answer.status in (206, 416):
        assert "Range" in names
    if answer.status == 304:
        assert names & {"If-None-Match", "If-Modified-Since"}
    if answer.status == 412:
        assert names & {"If-Match", "If-Unmodified-Since"}
    if answer.status == 200:
        assert answer.headers["content-length"] == str(version.size)
        assert sum(end - start for start, end in answer.spans) == version.size * (method == "GET")


@given(HEADERS, VERSIONS)
def test_a_tag_or_a_date_of_another_version_never_gets_a_part(
    headers: list[tuple[str, str]], version: FileVersion
) -> None:
    """The client has bytes of a version that had the same size and times."""
    before = replace(version, inode=8, changed=(MODIFIED - 86400) * SECOND, sha256=None)
    told = [("If-Range", before.etag(NOW)), ("If-Match", before.etag(NOW))]
    if (date := before.last_modified(NOW)) is not None and version.changed > MODIFIED * SECOND:
        told += [("If-Range", write_date(date))]
    others = [(name, value) for name, value in headers if name not in ("If-Range", "If-Match")]
    for one in told:
        assert ask(one, *others, version=version).status != 206
