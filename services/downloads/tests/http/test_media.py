import pytest

from eddyline_downloads.http.media import BINARY, content_disposition, media_type


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/b.pdf", "application/pdf"),
        ("b.csv", "text/csv"),
        ("b.csv.gz", "application/gzip"),
        ("b.tar.xz", "application/x-xz"),
        ("b.html", "text/html"),
        ("b", BINARY),
        ("b.unheard-of", BINARY),
    ],
)
def test_media_type(path: str, expected: str) -> None:
    assert media_type(path) == expected


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("plain name.txt", 'filename="plain name.txt"'),
        ("a/b/last.txt", 'filename="last.txt"'),
        ("naïve.txt", "filename=\"na_ve.txt\"; filename*=UTF-8''na%C3%AFve.txt"),
        ("€ rates.txt", "filename=\"_ rates.txt\"; filename*=UTF-8''%E2%82%AC%20rates.txt"),
        ('q".txt', "filename=\"q_.txt\"; filename*=UTF-8''q%22.txt"),
        ("b\\.txt", "filename=\"b_.txt\"; filename*=UTF-8''b%5C.txt"),
        ("50%.txt", "filename=\"50_.txt\"; filename*=UTF-8''50%25.txt"),
        ("a\r\nX: y", "filename=\"a__X: y\"; filename*=UTF-8''a%0D%0AX%3A%20y"),
        ("it's(*).txt", 'filename="it\'s(*).txt"'),
        ("'é", "filename=\"'_\"; filename*=UTF-8''%27%C3%A9"),
    ],
)
def test_content_disposition(name: str, parameters: str) -> None:
    header = content_disposition("attachment", name)
    assert header == f"attachment; {parameters}"
    header.encode("ascii")
