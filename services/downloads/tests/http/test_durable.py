"""A file by the protocol Durable Streams (PROTOCOL.md, sections 5.5 to 5.8), read-only."""

import asyncio
import base64
import json
import os
from pathlib import Path

import pytest

from eddyline.testing import Running, Stream, running
from eddyline_downloads.app import create_app
from eddyline_downloads.settings import DownloadsSettings

NEXT = "stream-next-offset"


@pytest.fixture
async def server(folder: Path):
    async with running(create_app(DownloadsSettings(store=str(folder)))) as server:
        yield server


@pytest.fixture
def get(fetch):
    async def ask(server: Running, query: str, path: str = "grows.log") -> tuple[Stream, bytes]:
        stream = await fetch(f"{server.url}/download/{path}?{query}")
        return stream, await stream.body()

    return ask


@pytest.fixture
def grows(folder: Path) -> Path:
    path = folder / "grows.log"
    path.write_bytes(b"one\n")
    return path


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


async def test_a_file_is_read_on_from_its_offsets(server, get, grows):
    answer, body = await get(server, "offset=-1")
    assert (answer.status, body) == (200, b"one\n")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["stream-up-to-date"] == "true"
    offset = answer.headers[NEXT]
    append(grows, b"two\n")
    answer, body = await get(server, f"offset={offset}")
    assert body == b"two\n"
    assert answer.headers[NEXT] > offset
    now, body = await get(server, "offset=now")
    assert (body, now.headers[NEXT]) == (b"", answer.headers[NEXT])


async def test_a_large_file_comes_in_pieces(server, get, folder):
    (folder / "large").write_bytes(whole := os.urandom(2_500_000))
    offset, pieces = "-1", []
    while True:
        answer, piece = await get(server, f"offset={offset}", "large")
        pieces.append(piece)
        offset = answer.headers[NEXT]
        if "stream-up-to-date" in answer.headers:
            break
    assert len(pieces) == 3
    assert b"".join(pieces) == whole


async def test_a_long_poll_waits_for_growth(server, get, grows):
    now, _ = await get(server, "offset=now")
    waiting = asyncio.create_task(get(server, f"offset={now.headers[NEXT]}&live=long-poll"))
    append(grows, b"two\n")
    answer, body = await waiting
    assert (answer.status, body) == (200, b"two\n")


async def test_a_live_read_brings_all_that_comes(server, fetch, grows):
    async def part(stream: Stream) -> tuple[bytes, dict]:
        data = b""
        while (event := await stream.event()).event == "data":
            data += base64.b64decode(event.data)
        return data, json.loads(event.data)

    url = f"{server.url}/download/grows.log?live=sse&offset="
    stream = await fetch(url + "-1")
    assert stream.headers["stream-sse-data-encoding"] == "base64"
    data, place = await part(stream)
    assert (data, place["upToDate"]) == (b"one\n", True)
    append(grows, b"two\n")
    data, place = await part(stream)
    assert data == b"two\n"
    append(grows, b"three\n")
    data, _ = await part(await fetch(url + place["streamNextOffset"]))
    assert data == b"three\n"


@pytest.mark.parametrize("how", ["replaced", "cut off", "cut off and longer", "written to"])
async def test_an_offset_never_names_bytes_of_another_file(server, get, fetch, grows, how):
    append(grows, b"two\n" * 1000)
    before, _ = await get(server, "offset=-1")
    if how == "replaced":
        other = grows.with_suffix(".new")
        other.write_bytes(grows.read_bytes() + b"more\n")
        other.replace(grows)
    else:
        text = {"cut off": b"x", "cut off and longer": b"x\n" * 9000}.get(how)
        grows.write_bytes(text or grows.read_bytes()[:-2] + b"!\nmore")
    answer, _ = await get(server, f"offset={before.headers[NEXT]}")
    assert answer.status == 410
    answer, body = await get(server, "offset=-1")
    assert body == grows.read_bytes()


async def test_offsets_that_are_none_are_refused(server, get, fetch, grows):
    for query, path, status in (
        ("offset=x", "grows.log", 400),
        ("offset=-1&live=x", "grows.log", 400),
        ("offset=-1", "none", 404),
        ("offset=-1", ".env", 404),
        ("offset=-1", "sub", 404),
    ):
        assert (await get(server, query, path))[0].status == status, (query, path)
    refused = await fetch(f"{server.url}/download/grows.log?offset=-1", method="POST")
    assert refused.status == 405
