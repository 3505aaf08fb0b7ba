"""Clients of other people, unchanged: each resumes, asks again, or lists."""

import asyncio
import hashlib
import os
import shutil
import sys
import time
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import fsspec
import jwt
import obstore
import pytest
from obstore.exceptions import PreconditionError
from obstore.store import HTTPStore

from eddyline.testing import Running, running
from eddyline_downloads.app import create_app
from eddyline_downloads.settings import DownloadsSettings

KEY = "k" * 32
TOKEN = jwt.encode({"exp": 2**32, "scope": "downloads:read"}, KEY, "HS256")
CONTENT = os.urandom(3_000_000)
LONG_AGO = 1_600_000_000


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    (folder / "sub").mkdir(parents=True)
    for path in (folder / "file", folder / "sub" / "other"):
        path.write_bytes(CONTENT)
        os.utime(path, (LONG_AGO, LONG_AGO))
    return folder


@pytest.fixture
async def run(files: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    clock = time.time
    monkeypatch.setattr("eddyline.responses.file.time", lambda: clock() + 3600)
    async with running(create_app(DownloadsSettings(store=str(files)))) as server:
        yield server


async def call(program: str, *arguments: str, folder: Path) -> str:
    """Runs a program, which must end well; its output."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not here: apt-get install {program.replace('aria2c', 'aria2')}")
    process = await asyncio.create_subprocess_exec(
        found,
        *arguments,
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"},
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, output.decode()
    return output.decode()


@pytest.mark.parametrize(
    "command",
    [
        ["curl", "-sSO", "-C", "-"],
        ["wget", "-nv", "-c"],
        ["aria2c", "-q", "-c", "-x16", "-s16", "-k1M", "--allow-overwrite=false"],
    ],
    ids=lambda command: command[0],
)
async def test_a_download_that_was_cut_off_goes_on(
    run: Running, tmp_path: Path, command: list[str]
) -> None:
    if command[0] != "aria2c":  # that goes on where it has a file of its own beside
        (tmp_path / "file").write_bytes(CONTENT[:1_000_000])
    await call(*command, f"{run.url}/download/file", folder=tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT


async def test_curl_asks_by_the_tag_that_it_has_kept(
    run: Running, tmp_path: Path, files: Path
) -> None:
    url = f"{run.url}/download/file"
    ask = ["curl", "-sS", "-o", "got", "-w", "%{http_code} %{size_download}"]
    tags = ["--etag-save", "tag", "--etag-compare", "tag"]
    assert await call(*ask, *tags, url, folder=tmp_path) == f"200 {len(CONTENT)}"
    assert await call(*ask, *tags, url, folder=tmp_path) == "304 0"
    (files / "file").write_bytes(b"new")
    assert await call(*ask, *tags, url, folder=tmp_path) == "200 3"


async def test_wget_asks_by_the_date_of_its_file(run: Running, tmp_path: Path) -> None:
    await call("wget", "-nv", "-N", f"{run.url}/download/file", folder=tmp_path)
    assert (tmp_path / "file").stat().st_mtime == LONG_AGO
    again = await call("wget", "-S", "-N", f"{run.url}/download/file", folder=tmp_path)
    assert "304 Not Modified" in again


async def test_aria2_asks_by_the_date_of_its_file(run: Running, tmp_path: Path) -> None:
    options = ["--conditional-get=true", "--allow-overwrite=true", "-x16", "-k1M"]
    await call("aria2c", "-q", *options, f"{run.url}/download/file", folder=tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT
    (tmp_path / "file").write_bytes(b"mine")
    os.utime(tmp_path / "file")
    await call("aria2c", "-q", *options, f"{run.url}/download/file", folder=tmp_path)
    assert (tmp_path / "file").read_bytes() == b"mine"


async def test_a_folder_is_fetched_by_wget(run: Running, tmp_path: Path) -> None:
    options = ["-nv", "-r", "-np", "-nH", "--cut-dirs=1", "-e", "robots=off", "-R", "index.html*"]
    await call("wget", *options, f"{run.url}/download/", folder=tmp_path)
    assert (tmp_path / "sub" / "other").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "command", [["curl", "-sSfO", "-u", f"x:{TOKEN}"], ["wget", "-nv", "--user=x"]]
)
async def test_a_token_is_a_password(files: Path, tmp_path: Path, command: list[str]) -> None:
    if command[0] == "wget":
        command = [*command, f"--password={TOKEN}"]
    async with running(create_app(DownloadsSettings(store=str(files), auth_key=KEY))) as server:
        await call(*command, f"{server.url}/download/file", folder=tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT


async def test_pip_finds_its_links_and_checks_the_digests(
    run: Running, files: Path, tmp_path: Path
) -> None:
    name, about = "demo_pkg-1.0-py3-none-any.whl", "demo_pkg-1.0.dist-info"
    with zipfile.ZipFile(files / "sub" / name, "w") as wheel:
        wheel.writestr("demo_pkg.py", "")
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: demo-pkg\nVersion: 1.0\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    await call("curl", "-sSO", f"{run.url}/download/sub/{name}", folder=tmp_path)
    page = await call("curl", "-sS", f"{run.url}/download/sub/", folder=tmp_path)
    digest = hashlib.sha256((files / "sub" / name).read_bytes()).hexdigest()
    assert f'href="{name}#sha256={digest}"' in page
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-index", "--no-cache-dir"]
    links = ["--find-links", f"{run.url}/download/sub/", "--trusted-host", "127.0.0.1"]
    await call(*pip, *links, "-d", "got", "demo-pkg", folder=tmp_path)
    assert (tmp_path / "got" / name).exists()


async def test_fsspec_lists_and_reads(run: Running) -> None:
    def use() -> tuple[set[str], bytes]:
        system = fsspec.filesystem("http", skip_instance_cache=True)
        names = {entry["name"] for entry in system.ls(f"{run.url}/download/")}
        with system.open(f"{run.url}/download/sub/other", block_size=100_000) as file:
            file.seek(2_000_000)
            return names, file.read(1000)

    names, part = await asyncio.to_thread(use)
    assert {f"{run.url}/download/file", f"{run.url}/download/sub/"} <= names
    assert part == CONTENT[2_000_000:2_001_000]


async def test_obstore_resumes_by_the_tag(run: Running, files: Path) -> None:
    store = HTTPStore.from_url(f"{run.url}/download", client_options={"allow_http": True})

    async def get(**options: Any) -> bytes:
        return bytes(await (await obstore.get_async(store, "file", options=options)).bytes_async())

    tag = (await obstore.head_async(store, "file"))["e_tag"]
    assert await get(range=(1000, 2000), if_match=tag) == CONTENT[1000:2000]
    (files / "file").write_bytes(CONTENT[::-1])
    with pytest.raises(PreconditionError):
        await get(range=(1000, 2000), if_match=tag)
