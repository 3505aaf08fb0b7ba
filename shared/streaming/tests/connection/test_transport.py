"""Files through a transport: by sendfile(2), by reads under TLS; to peers that stall or leave."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme
from fastapi import FastAPI, Request
from starlette.types import Receive, Scope, Send

from eddyline.connection.base import EXTENSION, StreamClosed, StreamStalled
from eddyline.connection.sendfile import SLICE, acked
from eddyline.service.drain import Drain
from eddyline.service.settings import Settings
from eddyline.testing import Running, Stream, eventually, fetch, running


class Sender:
    """An app with one file, which notes how sending it ended."""

    def __init__(self, path: Path, stall_timeout: float) -> None:
        self.ended: list[BaseException | None] = []
        self.acked: list[int] = []
        self.slices: list[int] = []
        self.app = FastAPI()
        self.app.state.context = SimpleNamespace(settings=Settings(), drain=Drain(0.0, 0.2))
        self.running: Running

        async def send_it(scope: Scope, receive: Receive, send: Send) -> None:
            size = path.stat().st_size
            length = [(b"content-length", str(size).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": length})
            transport = scope["extensions"][EXTENSION]
            with path.open("rb") as file:
                try:
                    await transport.send_file(
                        file.fileno(), 0, size, stall_timeout, self.slices.append
                    )
                except StreamClosed as error:
                    self.ended.append(error)
                    return
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            self.acked.append(transport.acked())
            self.ended.append(None)

        self.app.mount("/file", send_it)


@asynccontextmanager
async def sending(path: Path, stall_timeout: float = 30.0, **tls: Any) -> AsyncIterator[Sender]:
    sender = Sender(path, stall_timeout)
    async with running(sender.app, **tls) as sender.running:
        yield sender


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(1024) * ((SLICE + SLICE // 2) // 1024))
    return path


async def test_a_file_arrives_whole_and_the_connection_stays(file):
    async with sending(file) as sender:
        stream = await fetch(sender.running.url + "/file/")
        assert await stream.body() == file.read_bytes()
        stream.writer.write(b"GET /file/ HTTP/1.1\r\nHost: x\r\n\r\n")
        await stream.read_head("GET")
        assert await stream.body() == file.read_bytes()
        await eventually(lambda: sender.ended == [None, None])
        await stream.close()


async def test_each_slice_is_told_once_it_is_sent(file):
    async with sending(file) as sender:
        async with await fetch(sender.running.url + "/file/") as stream:
            await stream.body()
        await eventually(lambda: sender.ended)
        assert sender.slices == [SLICE, SLICE // 2]


async def test_under_tls_it_goes_by_reads(file, tmp_path):
    authority = trustme.CA()
    pem = tmp_path / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(pem)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    async with sending(file, ssl_certfile=str(pem)) as sender:
        stream = await fetch(sender.running.url + "/file/", tls=trust)
        assert await stream.body() == file.read_bytes()
        await eventually(lambda: sender.ended == [None])
        await stream.close()


async def read_slowly(stream: Stream, seconds: float) -> int:
    """Some bytes each 50 ms, so that there is progress, and little of it."""
    received = 0
    end = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end:
        received += len(await stream.reader.read(20_000))
        await asyncio.sleep(0.05)  # sleep: the pace of a slow peer
    return received


async def test_a_slow_peer_is_not_a_stalled_one(tmp_path):
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    async with sending(path, stall_timeout=0.7) as sender:
        stream = await fetch(sender.running.url + "/file/", receive_buffer=8192, limit=4096)
        await read_slowly(stream, 2.5)
        assert sender.ended == []
        # Now it stops reading altogether.
        await eventually(lambda: sender.ended)
        assert isinstance(sender.ended[0], StreamStalled)
        assert "0.7 seconds" in str(sender.ended[0])
        assert len(await stream.body()) < 64 * 1024 * 1024
        assert stream.clean is False


async def test_a_peer_that_leaves_is_noticed_without_a_log_line(tmp_path, caplog):
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(1024 * 1024 * 1024)
    async with sending(path) as sender:
        stream = await fetch(sender.running.url + "/file/", receive_buffer=8192)
        stream.reset()
        await eventually(lambda: sender.ended)
        assert type(sender.ended[0]) is StreamClosed
        await eventually(lambda: not sender.running.server.server_state.connections)
    assert [r for r in caplog.records if r.levelname in ("ERROR", "WARNING")] == []


async def test_a_file_that_ends_early_breaks_the_connection(file):
    async with sending(file) as sender:
        stream = await fetch(sender.running.url + "/file/", receive_buffer=8192)
        os.truncate(file, 1000)
        assert len(await stream.body()) < SLICE + SLICE // 2
        assert stream.clean is False
        await eventually(lambda: sender.ended)
        assert "ended at byte" in str(sender.ended[0])


async def test_what_a_peer_has_taken_is_known(file):
    async with sending(file) as sender:
        stream = await fetch(sender.running.url + "/file/")
        await stream.body()
        (protocol,) = sender.running.server.server_state.connections
        await eventually(lambda: acked(protocol.transport) >= file.stat().st_size)
        await stream.close()


async def test_the_extension_is_there_for_every_request(file):
    seen: list[bool] = []
    async with sending(file) as sender:

        @sender.app.get("/seen")
        async def seen_it(request: Request) -> bool:
            seen.append(EXTENSION in request.scope["extensions"])
            return True

        async with await fetch(sender.running.url + "/seen") as stream:
            await stream.body()
    assert seen == [True]
