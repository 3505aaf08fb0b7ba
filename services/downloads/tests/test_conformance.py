"""Each row of docs/guides/downloads-conformance.md is true of a real server."""

import hashlib
import os
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from urllib.parse import unquote

import pytest

from eddyline.files.digests.fields import digest_field
from eddyline.files.version import FileVersion
from eddyline.testing import Running, Stream, fetch, running
from eddyline_downloads.app import create_app
from eddyline_downloads.settings import DownloadsSettings

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "guides" / "downloads-conformance.md"

SIZE = 10_000
CONTENT = bytes(n * 7 % 251 for n in range(SIZE))
FILES: Mapping[str, bytes] = {
    "ten.bin": CONTENT,
    "empty": b"",
    "plain.txt": b"text",
    "data.tar.gz": b"\x1f\x8b",
    "page.html": b"<script>",
    'qu"ote.txt': b"quote",
    "naïve €.txt": b"naive",
    "per%41cent": b"percent",
}


@dataclass(frozen=True)
class Row:
    item: str
    rule: str
    request: str
    answer: str
    body: str

    @property
    def proof(self) -> str | None:
        """The test that proves the row in place of a request."""
        return self.request.strip("`") if ".py::" in self.request else None


def rows() -> Iterator[Row]:
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and cells[0].isdigit():
            item, _, rule, request, answer, body, result = cells
            assert result == "PASS"
            yield Row(item, rule, request, answer, body)


ROWS = list(rows())


@pytest.fixture(params=[{}, {"http": "httptools"}], ids=["ours", "plain uvicorn"])
async def run(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Running]:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / ".env").write_text("secret")
    clock = time.time
    # Files that a test has just written are old ones.
    monkeypatch.setattr("eddyline.responses.file.time", lambda: clock() + 3600)
    app = create_app(DownloadsSettings(store=str(tmp_path)))
    async with running(app, **request.param) as server:
        yield server


@pytest.fixture
def words(tmp_path: Path, run: Running) -> Mapping[str, str]:
    """The words in braces."""
    status = (tmp_path / "ten.bin").stat()
    version = FileVersion.from_status(status)
    now, modified = time.time() + 3600, int(status.st_mtime)
    date = formatdate(modified, usegmt=True)
    week = time.strftime("%A", time.gmtime(modified))
    return {
        "tag": version._tag_of_content(hashlib.sha256(CONTENT).digest()),
        "facts": version.etag(now),
        "date": date,
        "earlier": formatdate(modified - 1, usegmt=True),
        "later": formatdate(modified + 1, usegmt=True),
        "future": formatdate(now + 3600, usegmt=True),
        "rfc850": time.strftime(f"{week}, %d-%b-%y %H:%M:%S GMT", time.gmtime(modified)),
        "asctime": time.asctime(time.gmtime(modified)),
        "digest": digest_field(hashlib.sha256(CONTENT).digest()),
        "digest of the part": digest_field(hashlib.sha256(CONTENT[:10]).digest()),
    }


def fill(text: str, words: Mapping[str, str]) -> str:
    return re.sub(r"\{([a-z0-9 ]+)\}", lambda word: words[word[1]], text)


def fields(cell: str, words: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """`name: value`, or no `name`, where the value is None."""
    for absent, text in re.findall(r"(no )?`([^`]*)`", cell):
        name, _, value = text.partition(":")
        yield name, None if absent else fill(value.strip(), words)


async def ask(server: Running, row: Row, words: Mapping[str, str]) -> Stream:
    method, *_ = row.request.split(" ")
    found = re.search(r"`(/[^`]*)`", row.request)
    headers: dict[str, str] = {}
    for name, value in fields(row.request, words):
        if not name.startswith("/"):
            # A field that stands there twice is two lines.
            headers[name] = f"{headers[name]}\r\n{name}: {value}" if name in headers else f"{value}"
    url = server.url + (found[1] if found else "/download/ten.bin")
    return await fetch(url, method=method, headers=headers)


def expected_body(row: Row) -> bytes | None:
    found = re.search(r"`/(?:download|static)/([^`]*)`", row.request)
    if row.body in ("any", "none"):
        return None if row.body == "any" else b""
    if row.body == "all":
        return FILES[unquote(found[1])] if found else CONTENT
    start, end = map(int, row.body.split("-"))
    return CONTENT[start : end + 1]


async def fault(server: Running, row: Row, words: Mapping[str, str]) -> str | None:
    """A field of the answer that is not as the row says."""
    async with await ask(server, row, words) as stream:
        body = await stream.body()
        if stream.status != int(row.answer[:3]):
            return f"{stream.status}"
        for name, value in fields(row.answer, words):
            if stream.headers.get(name) != value:
                return f"{name}: {stream.headers.get(name)}"
        if expected_body(row) not in (None, body) or not stream.clean:
            return f"a body of {len(body)} bytes"
    return None


async def test_each_request_gets_its_answer(run: Running, words: Mapping[str, str]) -> None:
    faults = {}
    for row in ROWS:
        if row.proof is None and (found := await fault(run, row, words)) is not None:
            faults[f"{row.item} {row.rule}: {row.request} -> {row.answer}"] = found
    assert not faults, "\n".join(f"{row}\n    got {found}" for row, found in faults.items())
    assert len(ROWS) > 100


@pytest.mark.parametrize("row", [row for row in ROWS if row.proof], ids=lambda row: row.rule)
def test_each_other_row_names_a_test(row: Row) -> None:
    path, _, name = str(row.proof).partition("::")
    assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8")


async def test_a_file_that_is_cut_short_ends_a_multipart_with_an_error(
    run: Running, tmp_path: Path
) -> None:
    large = tmp_path / "large"
    large.touch()
    os.truncate(large, 64 * 1024 * 1024)
    headers = {"Range": "bytes=0-33554431,33555431-"}
    async with await fetch(f"{run.url}/download/large", headers=headers) as stream:
        assert stream.headers["content-type"].startswith("multipart/byteranges")
        await stream.read()
        os.truncate(large, 1024)
        with suppress(ConnectionError):
            await stream.body()
        assert not stream.clean
