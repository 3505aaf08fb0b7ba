"""Digests of files, of answers and of folders."""

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import jwt
import pytest

from eddyline.files.digests.fields import digest_field
from eddyline.testing import Stream, request_bytes
from eddyline_downloads.stores.folder import FolderStore

Serve = Callable[..., Any]
Fetch = Callable[..., Awaitable[Stream]]
KEY = "k" * 32
LARGE = os.urandom(300_000)


@pytest.fixture(autouse=True)
def an_hour_has_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of responses: files that a test has just written are old ones."""
    clock = time.time
    for module in ("eddyline.responses.file", "eddyline_downloads.http.sums"):
        monkeypatch.setattr(f"{module}.time", lambda: clock() + 3600)


def field(content: bytes) -> str:
    return digest_field(hashlib.sha256(content).digest())


@pytest.mark.parametrize("content", [b"", b"small", LARGE], ids=["empty", "small", "large"])
async def test_each_answer_has_the_digest_of_the_whole_file_and_its_own_if_asked(
    serve: Serve, fetch: Fetch, folder: Path, content: bytes
) -> None:
    """RFC 9530 §2, §3, appendix B.3."""
    (folder / "file").write_bytes(content)
    part = content[1:4]
    async with serve() as run:
        stream = await fetch(f"{run.url}/download/file", method="HEAD")
        for method, headers, status, own in (
            ("GET", {}, 200, None),
            ("HEAD", {"Want-Content-Digest": "sha-256=1"}, 200, field(content)),
            ("GET", {"Want-Content-Digest": "sha-256=1"}, 200, field(content)),
            ("GET", {"Range": "bytes=1-3", "Want-Content-Digest": "sha-256=1"}, 206, field(part)),
            ("GET", {"Range": "bytes=1-3"}, 206, None),
        ):
            if status == 206 and not content:
                continue
            stream.writer.write(request_bytes(method, "/download/file", headers))
            await stream.read_head(method)
            assert (stream.status, await stream.body()) == (
                status,
                b"" if method == "HEAD" else part if status == 206 else content,
            )
            assert stream.headers["repr-digest"] == field(content)
            assert stream.headers["x-checksum-sha256"] == hashlib.sha256(content).hexdigest()
            assert stream.headers.get("content-digest") == own


async def test_a_digest_is_left_out_where_it_is_not_wanted_or_describes_another_body(
    serve: Serve, fetch: Fetch
) -> None:
    """RFC 9530 §4; an error's digest would be that of the error (§3.1)."""
    async with serve() as run:
        for headers, status in (
            ({"Want-Repr-Digest": "sha-256=0"}, 200),
            ({"If-None-Match": "*"}, 304),
            ({"If-Match": '"other"'}, 412),
            ({"Range": "bytes=9-"}, 416),
        ):
            stream = await fetch(f"{run.url}/download/a.txt", headers=headers, method="GET")
            assert stream.status == status
            assert "repr-digest" not in stream.headers


async def test_an_answer_waits_for_the_digest_that_its_client_wants(
    serve: Serve, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eddyline.files.digests.digests.SOON", 0)
    headers = {"Want-Repr-Digest": "sha-256=3, sha-512=0"}
    async with serve() as run:
        stream = await fetch(f"{run.url}/download/a.txt", headers=headers)
        assert stream.headers["repr-digest"] == field(b"a")


@pytest.mark.parametrize("prefix", ["", "sub"])
async def test_the_digests_of_a_folder_are_checked_by_sha256sum(
    serve: Serve, fetch: Fetch, folder: Path, prefix: str, tmp_path: Path
) -> None:
    for name in ("back\\slash", "new\nline", "naïve €"):
        (folder / "sub" / name).write_text(name)
    async with serve() as run:
        stream = await fetch(f"{run.url}/archive/{prefix + '/' if prefix else ''}SHA256SUMS")
        assert stream.headers["content-type"].startswith("text/plain")
        text = await stream.body()
        assert stream.clean
    assert f"{hashlib.sha256(b'ccc').hexdigest()}  {'' if prefix else 'sub/'}deep/c.txt\n" in (
        text.decode()
    )
    assert b"secret" not in text
    if (program := shutil.which("sha256sum")) is None:
        pytest.skip("sha256sum is not here: apt-get install coreutils")
    command = [program, "--check", "--strict"]
    checked = subprocess.run(command, input=text, cwd=folder / prefix, capture_output=True)
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.count(b": OK\n") == text.count(b"\n")


async def test_digests_are_those_of_files_that_the_caller_may_read(
    serve: Serve, fetch: Fetch
) -> None:
    token = jwt.encode({"exp": 2**32, "scope": "downloads:read:sub/deep/*"}, KEY, "HS256")
    headers = {"Authorization": f"Bearer {token}"}
    async with serve(auth_key=KEY) as run:
        assert (await fetch(f"{run.url}/archive/SHA256SUMS")).status == 401
        stream = await fetch(f"{run.url}/archive/SHA256SUMS", headers=headers)
        assert [line.split()[1] for line in (await stream.body()).splitlines()] == [
            b"sub/deep/c.txt"
        ]


@pytest.mark.parametrize(
    ("path", "settings", "status", "detail"),
    [
        ("nothing/SHA256SUMS", {}, 404, "there is no file in 'nothing'"),
        ("../SHA256SUMS", {}, 400, "'..' is not a path"),
        ("SHA256SUMS", {"digests": "off"}, 404, "there are no digests: DOWNLOADS_DIGESTS=off"),
    ],
)
async def test_a_folder_without_digests_is_an_error(
    serve: Serve, fetch: Fetch, path: str, settings: dict[str, str], status: int, detail: str
) -> None:
    async with serve(**settings) as run:
        stream = await fetch(f"{run.url}/archive/{path}")
        assert stream.status == status
        assert (await stream.json())["detail"].startswith(detail)


async def test_a_file_that_goes_away_ends_the_digests_of_its_folder_with_an_error(
    serve: Serve, fetch: Fetch, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = FolderStore.open

    async def gone(store: FolderStore, path: str) -> Any:
        if path == "sub/b.txt":
            (folder / path).unlink()
        return await opened(store, path)

    monkeypatch.setattr(FolderStore, "open", gone)
    async with serve() as run:
        stream = await fetch(f"{run.url}/archive/SHA256SUMS")
        await stream.body()
        assert stream.status == 404 or not stream.clean
