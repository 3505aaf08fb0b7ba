"""Rows by the Python client: each once though connections break, and no part for the whole."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eddyline.client import AsyncClient, DigestMismatch, Failed, Incomplete, Refused
from eddyline.testing import FaultProxy, Running, running, serving
from eddyline_records.app import create_app
from eddyline_records.settings import RecordsSettings

COUNT = 20_000


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[Running]:
    import sqlite3

    path = tmp_path / "users.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)")
        rows = ((n, f"user {n}") for n in range(1, COUNT + 1))
        database.executemany("INSERT INTO users VALUES (?, ?)", rows)
    database.close()
    url = f"users=sqlite:///{path}?table=users&key=id"
    async with running(create_app(RecordsSettings(datasets=url))) as started:
        yield started


async def test_rows_come_once_though_the_connection_breaks(records: Running) -> None:
    async with FaultProxy(records.port) as proxy, AsyncClient(proxy.url) as client:
        proxy.cut_after = 200_000
        ids = []
        async for row in client.records("users", columns=["id"]):
            ids.append(row["id"])
            if len(ids) % 5000 == 0:
                proxy.cut_after = random.randrange(100_000, 400_000)
                proxy.cut()
    assert ids == list(range(1, COUNT + 1))


async def test_a_limit_and_a_cursor(records: Running) -> None:
    async with AsyncClient(records.url) as client:
        rows = client.records("users", limit=3)
        assert [row["id"] async for row in rows] == [1, 2, 3]
        assert not rows.changed
        more = client.records("users", limit=3, cursor=rows.cursor)
        assert [row["id"] async for row in more] == [4, 5, 6]
        with pytest.raises(Refused) as refused:
            await anext(client.records("none"))
        assert refused.value.status == 404


HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n"
ROW = '{"row":{"id":1}}\n'


@pytest.mark.parametrize(
    ("body", "error", "reason"),
    [
        (ROW, Failed, "without their end"),
        (ROW + '{"end":{"rows":1,"sha256":"%s"}}\n' % ("0" * 64), DigestMismatch, "SHA-256"),
        (ROW + '{"error":{"detail":"the disk broke"}}\n', Incomplete, "the disk broke"),
    ],
)
async def test_a_part_is_never_the_whole(body: str, error: type[Exception], reason: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"{HEAD}{body}".encode())
        await writer.drain()
        writer.close()

    async with serving(answer) as port:
        async with AsyncClient(f"http://127.0.0.1:{port}", patience=0.1) as client:
            with pytest.raises(error, match=reason):
                [row async for row in client.records("x")]


async def test_an_end_with_the_right_digest_is_the_whole() -> None:
    digest = hashlib.sha256(ROW.encode()).hexdigest()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        end = f'{{"end":{{"rows":1,"sha256":"{digest}","changed":true}}}}\n'
        writer.write(f"{HEAD}{ROW}{end}".encode())
        await writer.drain()
        writer.close()

    async with serving(answer) as port, AsyncClient(f"http://127.0.0.1:{port}") as client:
        rows = client.records("x")
        assert [row async for row in rows] == [{"id": 1}]
        assert rows.changed
