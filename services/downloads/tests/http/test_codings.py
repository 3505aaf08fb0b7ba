"""Files that were compressed before (RFC 9110 §8.4, §8.8.3.3, §12.5.5)."""

import gzip
import hashlib
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from eddyline.files.digests.fields import digest_field
from eddyline.testing import Stream

Serve = Callable[..., Any]
Fetch = Callable[..., Awaitable[Stream]]
PLAIN = b"text " * 1000
GZIP = gzip.compress(PLAIN)
TAKES = {"Accept-Encoding": "gzip, br"}


@pytest.fixture(autouse=True)
def an_hour_has_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of responses: files that a test has just written are old ones."""
    clock = time.time
    monkeypatch.setattr("eddyline.responses.file.time", lambda: clock() + 3600)


@pytest.fixture(autouse=True)
def files(folder: Path) -> Path:
    (folder / "page.txt").write_bytes(PLAIN)
    (folder / "page.txt.gz").write_bytes(GZIP)
    os.utime(folder / "page.txt", (1_600_000_000, 1_600_000_000))
    return folder


@pytest.mark.parametrize("route", ["static", "download"])
async def test_a_compressed_file_is_a_representation_of_its_own(
    serve: Serve, fetch: Fetch, route: str
) -> None:
    async with serve(precompressed=True) as run:
        url = f"{run.url}/{route}/page.txt"
        plain, coded = await fetch(url), await fetch(url, headers=TAKES)
        assert (await plain.body(), await coded.body()) == (PLAIN, GZIP)
        assert plain.headers["etag"] != coded.headers["etag"]
        assert plain.headers["vary"] == coded.headers["vary"] == "Accept-Encoding"
        assert coded.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert coded.headers["content-type"] == "text/plain; charset=utf-8"
        assert coded.headers["content-length"] == str(len(GZIP))
        # RFC 9530 §3: the digest is that of the representation, in its coding.
        assert coded.headers["repr-digest"] == digest_field(hashlib.sha256(GZIP).digest())
        for headers, status, body in (
            ({"Range": "bytes=2-9"}, 206, GZIP[2:10]),
            ({"Range": "bytes=2-9", "If-Range": plain.headers["etag"]}, 200, GZIP),
            ({"If-None-Match": coded.headers["etag"]}, 304, b""),
            ({"If-None-Match": plain.headers["etag"]}, 200, GZIP),
            ({"If-Match": plain.headers["etag"]}, 412, b""),
        ):
            stream = await fetch(url, headers={**TAKES, **headers})
            assert (stream.status, stream.headers["vary"]) == (status, "Accept-Encoding")
            assert (b"" if status == 304 else await stream.body()) == body


@pytest.mark.parametrize(
    ("headers", "coded"),
    [({}, False), ({"Accept-Encoding": "br"}, False), ({"Accept-Encoding": "gzip;q=0"}, False)],
)
async def test_the_file_as_it_is_goes_to_all_others(
    serve: Serve, fetch: Fetch, headers: dict[str, str], coded: bool
) -> None:
    async with serve(precompressed=True) as run:
        stream = await fetch(f"{run.url}/static/page.txt", headers=headers)
        assert ("content-encoding" in stream.headers) is coded
        assert await stream.body() == PLAIN


async def test_a_compressed_file_of_an_older_version_is_left_alone(
    serve: Serve, fetch: Fetch, folder: Path
) -> None:
    os.utime(folder / "page.txt.gz", (1_500_000_000, 1_500_000_000))
    async with serve(precompressed=True) as run:
        stream = await fetch(f"{run.url}/static/page.txt", headers=TAKES)
        assert await stream.body() == PLAIN


async def test_it_is_off_by_default_and_a_compressed_file_by_its_name_is_as_it_is(
    serve: Serve, fetch: Fetch
) -> None:
    async with serve() as run:
        stream = await fetch(f"{run.url}/static/page.txt", headers=TAKES)
        assert await stream.body() == PLAIN
        assert "vary" not in stream.headers
    async with serve(precompressed=True) as run:
        stream = await fetch(f"{run.url}/static/page.txt.gz", headers=TAKES)
        assert stream.headers["content-type"] == "application/gzip"
        assert "content-encoding" not in stream.headers
        assert await stream.body() == GZIP
        assert (await fetch(f"{run.url}/static/nothing", headers=TAKES)).status == 404
