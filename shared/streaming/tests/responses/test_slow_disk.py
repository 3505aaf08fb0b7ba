"""A disk that makes reads wait: one client pays, the loop and all others do not notice."""

import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.responses import Response

from eddyline.connection.sendfile import READ, cached, tells_what_waits
from eddyline.responses.file import FileResponse
from eddyline.service.app import Context, create_app
from eddyline.service.settings import Settings
from eddyline.testing import fetch, running

SIZE = 3 * 1024 * 1024 + 17


class Disk:
    """The system calls of a disk that takes `delay` seconds for a read that is not in memory."""

    def __init__(self, path: Path, tells: bool) -> None:
        self.delay = 0.05
        self.on_loop: list[str] = []
        self.reads = 0
        self._inode = path.stat().st_ino
        self._tells = tells
        self._in_memory: set[int] = set()
        self._loop = threading.get_ident()
        self._calls: dict[str, Any] = {
            name: getattr(os, name) for name in ("pread", "preadv", "sendfile", "fstat")
        }

    def install(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(os, "pread", self.pread)
        patch.setattr(os, "preadv", self.preadv)
        patch.setattr(os, "sendfile", self.sendfile)

    def _is_mine(self, file: int) -> bool:
        return bool(self._calls["fstat"](file).st_ino == self._inode)

    def _blocks(self, offset: int, count: int) -> range:
        return range(offset // 4096, (offset + max(1, count) - 1) // 4096 + 1)

    def _wait(self, name: str, file: int, offset: int, count: int) -> None:
        missing = [n for n in self._blocks(offset, count) if n not in self._in_memory]
        if self._tells:
            self._in_memory.update(missing)
        if missing:
            self.reads += 1
            if threading.get_ident() == self._loop:
                self.on_loop.append(f"{name} {offset} {count}")
            time.sleep(self.delay)  # sleep: the pace of a slow disk

    def pread(self, file: int, count: int, offset: int) -> bytes:
        if self._is_mine(file):
            self._wait("pread", file, offset, count)
        data: bytes = self._calls["pread"](file, count, offset)
        return data

    def preadv(self, file: int, buffers: list[Any], offset: int, flags: int = 0) -> int:
        if self._is_mine(file):
            if not self._tells:
                raise OSError(errno.EOPNOTSUPP, "Operation not supported")
            if any(n not in self._in_memory for n in self._blocks(offset, len(buffers[0]))):
                raise BlockingIOError
            flags = 0  # the file system below may not tell: overlayfs does not
        return int(self._calls["preadv"](file, buffers, offset, flags))

    def sendfile(self, out: int, file: int, offset: int, count: int) -> int:
        # The kernel sends as much in one call as the socket takes.
        if self._is_mine(file):
            self._wait("sendfile", file, offset, min(count, 4096))
        return int(self._calls["sendfile"](out, file, offset, count))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(SIZE))
    return path


@pytest.fixture
def app(path: Path) -> FastAPI:
    app = create_app(Context.from_settings(Settings(auth="off", drain_window=0.1)), [], "test")

    @app.get("/file")
    async def file() -> Response:
        return FileResponse(path)

    return app


@pytest.mark.parametrize("tells", [True, False])
async def test_no_read_that_waits_runs_on_the_loop(
    app: FastAPI, path: Path, tells: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One download from a disk of 100 ms a read made `/livez` take up to 19.7 s."""
    async with running(app) as server:
        disk = Disk(path, tells)
        disk.install(monkeypatch)
        for headers in ({}, {"Range": "bytes=1000000-2000000"}, {"Range": "bytes=5-9"}):
            async with await fetch(server.url + "/file", headers=headers) as answer:
                body = await answer.body()
            whole = path.read_bytes()
            match headers.get("Range"):
                case None:
                    assert body == whole
                case "bytes=5-9":
                    assert body == whole[5:10]
                case _:
                    assert body == whole[1_000_000:2_000_001]
        assert disk.reads > 0
        assert disk.on_loop == []


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Offsets of the kernel's own sends."""
    offsets: list[int] = []
    real: Callable[..., int] = os.sendfile

    def sendfile(out: int, file: int, offset: int, count: int) -> int:
        offsets.append(offset)
        return real(out, file, offset, count)

    monkeypatch.setattr(os, "sendfile", sendfile)
    return offsets


async def test_a_file_in_memory_is_sent_by_the_kernel(
    app: FastAPI, path: Path, calls: list[int]
) -> None:
    with path.open("rb") as file:
        if not tells_what_waits(file.fileno()):
            pytest.skip("a folder on ext4 or XFS is missing: set TMPDIR to one")
    async with running(app) as server, await fetch(server.url + "/file") as answer:
        assert await answer.body() == path.read_bytes()
    assert calls


async def test_bytes_are_read_in_a_thread_before_they_are_sent(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(path, tells=True)
    disk.install(monkeypatch)
    with path.open("rb") as file:
        assert await cached(file.fileno(), 0, SIZE) == READ
        assert disk.reads == 1
        assert await cached(file.fileno(), 0, SIZE) >= READ - 128 * 1024
        assert disk.reads == 1
    assert disk.on_loop == []
