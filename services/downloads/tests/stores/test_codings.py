import pytest

from eddyline_downloads.stores.codings import accepted


@pytest.mark.parametrize(
    ("header", "codings"),
    [
        ("", []),
        ("identity", []),
        ("gzip", ["gzip"]),
        ("GZIP", ["gzip"]),
        ("gzip, deflate, br, zstd", ["zstd", "br", "gzip"]),
        ("gzip;q=1.0, br;q=0.5", ["gzip", "br"]),
        ("gzip;q=0", []),
        ("*", ["zstd", "br", "gzip"]),
        ("*;q=0", []),
        ("*, br;q=0", ["zstd", "gzip"]),
        ("gzip;q=0.5, identity", []),
        ("gzip, identity;q=0.5", ["gzip"]),
        ("gzip;q=x, br;q=2, zstd;q=-1", []),
        ("x-gzip, compress", []),
    ],
)
def test_the_codings_that_a_client_takes(header: str, codings: list[str]) -> None:
    """RFC 9110 §12.5.3."""
    assert accepted(header) == codings
