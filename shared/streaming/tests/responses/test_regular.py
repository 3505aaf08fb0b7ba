"""Files by their paths: opened where nothing waits for them, and absent where they are no files."""

import os
import time
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from eddyline import FileResponse
from eddyline.errors import NotFound
from eddyline.responses import file as file_response
from eddyline.responses.regular import open_regular
from eddyline.testing import fetch


def app_of(folder: Path, **options: str) -> Starlette:
    async def file(request: Request) -> Response:
        return FileResponse(folder / request.path_params["name"], **options)

    return Starlette(routes=[Route("/{name:path}", file, methods=["GET", "HEAD"])])


async def test_a_path_is_a_response_of_its_own(serve, tmp_path, monkeypatch):
    # An hour later: a file that was just written has no strong tag.
    monkeypatch.setattr(file_response, "time", lambda: time.time() + 3600)
    content = os.urandom(3_000_000)
    (tmp_path / "film.mp4").write_bytes(content)
    async with serve(app_of(tmp_path)) as (url, _):
        whole = await fetch(f"{url}/film.mp4")
        assert whole.headers["content-type"] == "video/mp4"
        assert await whole.body() == content
        etag = whole.headers["etag"]
        part = {"Range": "bytes=1000-2999999", "If-Range": etag}
        rest = await fetch(f"{url}/film.mp4", headers=part)
        assert (rest.status, await rest.body()) == (206, content[1000:])
        head = await fetch(f"{url}/film.mp4", method="HEAD")
        assert (head.headers["content-length"], await head.body()) == ("3000000", b"")


async def test_a_small_file_and_an_empty_one_are_whole(serve, tmp_path):
    (tmp_path / "small").write_bytes(b"small")
    (tmp_path / "empty").write_bytes(b"")
    async with serve(app_of(tmp_path)) as (url, _):
        small = await fetch(f"{url}/small")
        assert small.headers["content-type"] == "application/octet-stream"
        assert await small.body() == b"small"
        empty = await fetch(f"{url}/empty")
        assert (await empty.body(), empty.clean) == (b"", True)


async def test_the_media_type_may_be_given(serve, tmp_path):
    (tmp_path / "film.mp4").write_bytes(b"x")
    async with serve(app_of(tmp_path, media_type="text/plain")) as (url, _):
        stream = await fetch(f"{url}/film.mp4")
        assert stream.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("name", ["absent", "folder", "file/below", "pipe", "nul%00byte"])
async def test_a_path_that_is_no_file_is_404_and_names_no_folder(serve, tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe")
    async with serve(app_of(tmp_path)) as (url, _):
        stream = await fetch(f"{url}/{name}")
        assert stream.status == 404
        body = await stream.body()
        assert b"there is no such file" in body
        assert str(tmp_path).encode() not in body


def test_a_pipe_without_a_writer_holds_nobody_up_and_leaves_nothing_open(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(NotFound):
        open_regular(str(tmp_path / "pipe"))
    assert set(os.listdir("/proc/self/fd")) == before
