"""RFC 9110 section 12.5.1 and 12.5.3: the examples, and the cases that servers get wrong."""

import pytest

from eddyline.errors import NotAcceptable
from eddyline_records.http.negotiation import coding, negotiated


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (None, "application/x-ndjson"),
        ("", "application/x-ndjson"),
        ("*/*", "application/x-ndjson"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "application/x-ndjson"),
        ("text/csv", "text/csv"),
        ("TEXT/CSV; header=present", "text/csv"),
        ("text/*", "text/csv"),
        ("application/*", "application/x-ndjson"),
        ("application/ndjson", "application/ndjson"),
        ("application/jsonl, application/x-ndjson;q=0.5", "application/jsonl"),
        ("application/json;q=0.2, text/csv;q=0.1", "application/json"),
        ("*/*;q=0.1, application/x-ndjson;q=0", "application/ndjson"),
        ("application/*;q=0, text/csv;q=0.001", "text/csv"),
    ],
)
def test_the_format_for_an_accept(accept: str | None, media: str) -> None:
    assert negotiated(accept)[1] == media


@pytest.mark.parametrize("accept", ["image/png", "text/html", "*/*;q=0", "text/csv;q=x"])
def test_an_accept_that_takes_none_is_refused_with_those_that_there_are(accept: str) -> None:
    with pytest.raises(NotAcceptable, match=r"application/x-ndjson.*text/csv"):
        negotiated(accept)


@pytest.mark.parametrize(
    ("accept", "name"),
    [
        (None, None),
        ("identity", None),
        ("br", None),
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("zstd;q=0, gzip;q=0", None),
        ("*", "zstd"),
        ("*;q=0", None),
        ("identity;q=1, gzip;q=0.5", None),
    ],
)
def test_the_coding_for_an_accept_encoding(accept: str | None, name: str | None) -> None:
    assert coding(accept) == name
