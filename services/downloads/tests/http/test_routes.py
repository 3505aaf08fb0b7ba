import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from email.utils import parsedate_to_datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jwt
import pytest

from eddyline.files.version import FileVersion
from eddyline.service.app import Context, Service, create_app
from eddyline.service.settings import Settings
from eddyline.testing import Stream, eventually, request_bytes, running
from eddyline_downloads.demo import make_files
from eddyline_downloads.generated import CHUNK
from eddyline_downloads.http.routes import DownloadsApi
from eddyline_downloads.settings import DownloadsSettings
from eddyline_downloads.stores.memory import MemoryStore

Serve = Callable[..., Any]
Fetch = Callable[..., Awaitable[Stream]]
KEY = "k" * 32


@pytest.fixture
def an_hour_has_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of responses and listings: files that a test has just written are old ones."""
    clock = time.time
    monkeypatch.setattr("eddyline.responses.file.time", lambda: clock() + 3600)
    monkeypatch.setattr("eddyline_downloads.http.routes.time", lambda: clock() + 3600)


def etag(path: Path, *, asked: bool = True) -> str:
    """That of the content, once the file was asked for."""
    digest = sha256(path.read_bytes()).digest() if asked else None
    version = replace(FileVersion.from_status(path.stat()), sha256=digest)
    return version.etag(time.time() + 3600)


@pytest.fixture(params=[{}, {"http": "httptools"}], ids=["ours", "plain uvicorn"])
def server(request: pytest.FixtureRequest) -> Any:
    return request.param


def bearer(scope: str) -> dict[str, str]:
    token = jwt.encode({"exp": 2**32, "scope": scope}, KEY, "HS256")
    return {"Authorization": f"Bearer {token}"}


async def test_a_download_is_saved(serve: Serve, fetch: Fetch, server: Any) -> None:
    async with serve(server) as run:
        stream = await fetch(f"{run.url}/download/sub/b.txt")
        assert stream.status == 200
        assert stream.headers["content-disposition"] == 'attachment; filename="b.txt"'
        assert stream.headers["content-type"] == "text/plain; charset=utf-8"
        assert stream.headers["x-content-type-options"] == "nosniff"
        assert "content-security-policy" not in stream.headers
        assert await stream.body() == b"bb"


@pytest.mark.parametrize(
    ("name", "policy"), [("a.html", "sandbox"), ("a.svg", "sandbox"), ("a.pdf", None)]
)
async def test_a_static_file_is_shown_where_it_does_no_harm(
    serve: Serve, fetch: Fetch, folder: Path, name: str, policy: str | None
) -> None:
    make_file(folder / name, b"<script>")
    async with serve() as run:
        stream = await fetch(f"{run.url}/static/{name}")
        assert stream.headers["content-disposition"] == f'inline; filename="{name}"'
        assert stream.headers["x-content-type-options"] == "nosniff"
        assert stream.headers.get("content-security-policy") == policy
        assert await stream.body() == b"<script>"


def make_file(path: Path, content: bytes) -> None:
    path.write_bytes(content)


async def test_a_name_that_is_not_ascii(serve: Serve, fetch: Fetch, folder: Path) -> None:
    make_file(folder / "naïve €.txt", b"x")
    async with serve() as run:
        stream = await fetch(f"{run.url}/download/na%C3%AFve%20%E2%82%AC.txt")
        assert stream.status == 200
        encoded = "filename*=UTF-8''na%C3%AFve%20%E2%82%AC.txt"
        assert stream.headers["content-disposition"].endswith(encoded)


@pytest.mark.usefixtures("an_hour_has_passed")
async def test_a_large_file_and_ranges_on_one_connection(
    serve: Serve, fetch: Fetch, folder: Path, server: Any
) -> None:
    content = os.urandom(5_000_000)
    make_file(folder / "big", content)
    async with serve(server) as run:
        stream = await fetch(f"{run.url}/download/big")
        assert stream.headers["etag"] == etag(folder / "big")
        assert await stream.body() == content
        headers = {"Range": "bytes=1000000-", "If-Range": stream.headers["etag"]}
        stream.writer.write(request_bytes("GET", "/download/big", headers))
        await stream.read_head("GET")
        assert stream.status == 206
        assert await stream.body() == content[1_000_000:]
        stream.writer.write(request_bytes("HEAD", "/download/big", {}))
        await stream.read_head("HEAD")
        assert stream.headers["content-length"] == "5000000"
        stream.writer.write(request_bytes("GET", "/small", {}))
        await stream.read_head("GET")
        assert await stream.json() == {"data": [1, 2, 3]}


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "sub/../../secret",
        "%2e%2e/secret",
        "..%2fsecret",
        "%2e%2e%2fsecret",
        "sub%2fb.txt",
        ".env",
        ".git/config",
        "sub/.env",
        "..%5csecret",
        "..%c0%afsecret",
        "%252e%252e/secret",
        "..%252fsecret",
        "/etc/passwd",
        "%2fetc/passwd",
        "//etc/passwd",
        "./a.txt",
        "sub//b.txt",
        "sub",
        "empty/",
        "../",
        "parent/",
        "a.txt/b/",
        "a.txt%00",
        "%00",
        "a.txt%00.pdf",
        "outside",
        "absolute",
        "absolute-inside",
        "parent/secret",
        "sub/far",
        "folder/far",
        "loop",
        "dangling",
        "device",
        "fifo",
        "a.txt/",
        "a.txt/x",
        "%ff%fe",
        "nothing",
        "x" * 5000,
    ],
)
@pytest.mark.parametrize("route", ["download", "static"])
async def test_what_is_not_a_file_of_the_store_is_refused(
    serve: Serve, fetch: Fetch, folder: Path, route: str, path: str
) -> None:
    async with serve() as run:
        stream = await fetch(f"{run.url}/{route}/{path}")
        body = await stream.body()
        assert stream.status in (400, 404), body
        assert stream.headers["content-type"] == "application/problem+json"
        assert b"crown jewels" not in body
        assert str(folder).encode() not in body
        assert str(folder.parent).encode() not in body


async def test_the_demo_file(serve: Serve, fetch: Fetch, folder: Path) -> None:
    async with serve() as run:
        stream = await fetch(f"{run.url}/static")
        assert stream.status == 404
        assert (await stream.json())["detail"] == "there is no file 'file.pdf'"
        make_files(folder)
        stream = await fetch(f"{run.url}/static")
        assert (stream.status, stream.headers["content-type"]) == (200, "application/pdf")
        assert (await stream.body()).startswith(b"%PDF-1.4")


@pytest.mark.parametrize("route", ["download", "static"])
async def test_a_file_of_an_odd_name_is_sent(
    serve: Serve, fetch: Fetch, folder: Path, route: str
) -> None:
    names = ["new\nline.txt", "ends\n", "back\\slash.txt", "per%41cent", "hash#", "a?b", "\r"]
    for name in names:
        make_file(folder / name, name.encode())
    async with serve() as run:
        listed = (await (await fetch(f"{run.url}/files?limit=1000")).json())["files"]
        assert set(names) <= {file["path"] for file in listed}
        for name in names:
            stream = await fetch(f"{run.url}/{route}/{quote(name)}")
            assert (stream.status, await stream.body()) == (200, name.encode())


@pytest.mark.usefixtures("an_hour_has_passed")
async def test_a_browser_asks_each_time_and_is_told_that_nothing_has_changed(
    serve: Serve, fetch: Fetch, folder: Path
) -> None:
    """RFC 9111 §5.2.2.4; RFC 9110 §15.4.5: a 304 has the field, too."""
    async with serve() as run:
        stream = await fetch(f"{run.url}/static/a.txt")
        assert stream.headers["cache-control"] == "no-cache"
        headers = {"If-None-Match": stream.headers["etag"]}
        stream = await fetch(f"{run.url}/static/a.txt", headers=headers, method="HEAD")
        assert (stream.status, stream.headers["cache-control"]) == (304, "no-cache")
        assert "content-disposition" not in stream.headers


@pytest.mark.usefixtures("an_hour_has_passed")
async def test_lists_files(serve: Serve, fetch: Fetch, folder: Path) -> None:
    async with serve() as run:
        stream = await fetch(f"{run.url}/files?limit=2")
        first = await stream.json()
        assert [file["path"] for file in first["files"]] == ["a.txt", "folder/b.txt"]
        assert first["files"][0]["etag"] == etag(folder / "a.txt", asked=False)
        assert first["files"][0]["sha256"] is None
        stream = await fetch(f"{run.url}/files?limit=2&cursor={first['cursor']}")
        second = await stream.json()
        assert [file["path"] for file in second["files"]] == ["folder/deep/c.txt", "inside"]
        assert second["cursor"] == "inside"
        stream = await fetch(f"{run.url}/files?prefix=sub/d")
        assert [file["path"] for file in (await stream.json())["files"]] == ["sub/deep/c.txt"]


@pytest.fixture
def folder_of_any_date() -> Iterator[Path]:
    """A folder in memory: on disk many file systems hold no date after the year 2446."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


async def test_a_file_of_the_year_10000_is_sent_and_listed_and_takes_no_slot(
    serve: Serve, fetch: Fetch, folder_of_any_date: Path
) -> None:
    far = folder_of_any_date / "far"
    make_file(far, b"far")
    make_file(folder_of_any_date / "near", b"near")
    os.utime(far, (253_402_300_800, 253_402_300_800))
    if os.stat(far).st_mtime != 253_402_300_800:
        pytest.skip(f"{far} can't have a date so far: give --basetemp on ext4, xfs or tmpfs")
    async with serve(store=str(folder_of_any_date), limit_streams=6) as run:
        for _ in range(12):
            stream = await fetch(f"{run.url}/download/far")
            assert (stream.status, await stream.body()) == (200, b"far")
            # RFC 9110 §8.8.2.1: a date of the future is replaced.
            told = parsedate_to_datetime(stream.headers["last-modified"])
            assert told <= parsedate_to_datetime(stream.headers["date"])
        files = (await (await fetch(f"{run.url}/files")).json())["files"]
        assert [(file["path"], file["modified"] is None) for file in files] == [
            ("far", True),
            ("near", False),
        ]
        await eventually(lambda: run.app.state.context.limits.open == 0)


@pytest.mark.parametrize(
    ("fault", "path"),
    [
        ("eddyline_downloads.http.routes.media_type", "/download/a.txt"),
        ("eddyline_downloads.http.headers.content_disposition", "/static/a.txt"),
        ("eddyline_downloads.stores.folder.open_nonblocking", "/download/a.txt"),
        ("eddyline.responses.file.plan", "/download/a.txt"),
        ("eddyline_downloads.http.routes.PullResponse", "/stream"),
    ],
)
async def test_a_fault_between_admission_and_answer_gives_the_permit_back(
    serve: Serve, fetch: Fetch, monkeypatch: pytest.MonkeyPatch, fault: str, path: str
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a fault")

    async with serve(limit_streams=1) as run:
        monkeypatch.setattr(fault, broken)
        for _ in range(3):
            assert (await fetch(run.url + path)).status == 500
            await eventually(lambda: run.app.state.context.limits.open == 0)
        monkeypatch.undo()
        assert (await fetch(f"{run.url}/download/a.txt")).status == 200


async def test_a_store_in_memory_serves_files_too(fetch: Fetch) -> None:
    context = Context.from_settings(Settings())
    api = DownloadsApi(context, DownloadsSettings(), MemoryStore({"a/b.txt": b"hello"}))
    async with running(create_app(context, [Service("downloads", api.routes())], "Test")) as run:
        stream = await fetch(f"{run.url}/download/a/b.txt", headers={"Range": "bytes=1-3"})
        assert (stream.status, await stream.body()) == (206, b"ell")
        listed = (await (await fetch(f"{run.url}/files")).json())["files"]
        assert [(file["path"], file["size"]) for file in listed] == [("a/b.txt", 5)]


async def test_generated_chunks_have_no_length(serve: Serve, fetch: Fetch, server: Any) -> None:
    async with serve(server) as run:
        stream = await fetch(f"{run.url}/stream?chunks=100")
        assert "content-length" not in stream.headers
        assert len(await stream.body()) == 100 * CHUNK
        assert stream.clean
        assert (await fetch(f"{run.url}/stream?chunks=0")).status == 422


async def test_scopes_are_paths(serve: Serve, fetch: Fetch) -> None:
    async with serve(auth_key=KEY) as run:

        async def status(path: str, scope: str | None) -> int:
            headers = bearer(scope) if scope is not None else {}
            return (await fetch(run.url + path, headers=headers)).status

        assert await status("/download/a.txt", None) == 401
        assert await status("/small", None) == 401
        assert await status("/stream", None) == 401
        assert await status("/static", "downloads:read:sub/*") == 403
        assert await status("/download/a.txt", "downloads:read:sub/*") == 403
        assert await status("/download/sub/b.txt", "downloads:read:sub/*") == 200
        assert await status("/download/sub/../a.txt", "downloads:read:sub/*") == 400
        assert await status("/download/sub/%2e%2e/a.txt", "downloads:read:sub/*") == 400
        # A caller that may not read it is not told whether it is there.
        assert await status("/download/nothing", "downloads:read:sub/*") == 403
        stream = await fetch(f"{run.url}/files", headers=bearer("downloads:read:sub/d*"))
        assert [file["path"] for file in (await stream.json())["files"]] == ["sub/deep/c.txt"]


async def test_a_store_that_is_away_is_not_ready(serve: Serve, fetch: Fetch, folder: Path) -> None:
    async with serve(store=str(folder / "away")) as run:
        for path in ("/readyz", "/download/a.txt", "/files"):
            stream = await fetch(run.url + path)
            assert stream.status == 503
            assert str(folder).encode() not in await stream.body()


async def test_more_than_the_limit_is_refused(serve: Serve, fetch: Fetch) -> None:
    async with serve(limit_streams=1) as run:
        first = await fetch(f"{run.url}/stream?chunks=1000000", receive_buffer=8192)
        stream = await fetch(f"{run.url}/download/a.txt")
        assert stream.status == 429
        assert int(stream.headers["retry-after"]) > 0
        first.reset()
