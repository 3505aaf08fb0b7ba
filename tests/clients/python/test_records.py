"""Records by the Python client: each row once, or an error; never a part for the whole."""

import asyncio
import hashlib
import os
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from eddyline.client import (
    AsyncClient,
    Client,
    DigestMismatch,
    Failed,
    Incomplete,
    Refused,
    RowsEnd,
)
from eddyline.testing import FaultProxy, Running, running, serving
from eddyline_records.app import create_app
from eddyline_records.settings import RecordsSettings

MANY = 6000
ROWS = [{"id": i, "name": "x" * 100} for i in range(MANY)]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "things.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT)")
        connection.executemany(
            "INSERT INTO things VALUES (?, ?)", [(row["id"], row["name"]) for row in ROWS]
        )
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


@pytest.fixture
async def records(database: Path) -> AsyncIterator[Running]:
    url = f"things=sqlite:///{database}?table=things&key=id&invalid_text=error"
    async with running(create_app(RecordsSettings(datasets=url))) as started:
        yield started


def execute(database: Path, script: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(script)


@pytest.mark.parametrize("seed", range(3))
async def test_each_row_comes_once_though_the_connection_is_cut_anywhere(
    records: Running, seed: int
) -> None:
    chance = random.Random(seed)
    async with FaultProxy(records.port) as proxy, AsyncClient(proxy.url) as client:
        proxy.cut_after = chance.randrange(80_000, 250_000)

        def cut_elsewhere(_: Any) -> None:
            proxy.cut_after = chance.randrange(80_000, 250_000)

        rows = client.records("things", progress=cut_elsewhere)
        assert [row async for row in rows] == ROWS
        assert rows.end == RowsEnd(MANY, changed=False, replaced=0)


async def test_a_limit_and_a_cursor(records: Running) -> None:
    async with AsyncClient(records.url) as client:
        rows = client.records("things", limit=3)
        assert [row["id"] async for row in rows] == [0, 1, 2]
        assert not rows.changed
        more = client.records("things", limit=3, cursor=rows.cursor)
        assert [row["id"] async for row in more] == [3, 4, 5]


async def test_the_arguments_choose_rows(records: Running) -> None:
    async with AsyncClient(records.url) as client:
        rows = client.records(
            "things", columns=["id"], where={("id", "in"): [3, 5, 8, 9]}, after=3, limit=2
        )
        assert [row async for row in rows] == [{"id": 5}, {"id": 8}]
        rows = client.records("things", columns=["id"], descending=True, limit=2, snapshot=True)
        assert [page async for page in rows.pages()] == [[{"id": MANY - 1}, {"id": MANY - 2}]]
        with pytest.raises(Refused, match="there is no dataset 'none'"):
            await anext(client.records("none"))


def test_a_program_without_an_event_loop_reads_rows_too(database: Path) -> None:
    url = f"things=sqlite:///{database}?table=things&key=id"

    async def serve(ready: Any, ended: Any) -> None:
        async with running(create_app(RecordsSettings(datasets=url))) as started:
            ready(started.url)
            await asyncio.to_thread(ended)

    def read(url: str) -> None:
        with Client(url) as client:
            rows = client.records("things", limit=3)
            assert list(rows) == ROWS[:3]
            assert rows.end == RowsEnd(3, changed=False, replaced=0)
            pages = list(client.records("things").pages())
            assert [row for page in pages for row in page] == ROWS

    started: list[str] = []
    asyncio.run(serve(started.append, lambda: read(started[0])))


async def test_a_row_whose_key_is_changed_while_the_client_is_away_is_told(
    records: Running, database: Path
) -> None:
    async with FaultProxy(records.port) as proxy, AsyncClient(proxy.url) as client:
        proxy.cut_after = 100_000
        rows = client.records("things")
        await anext(rows)
        proxy.cut()
        proxy.cut_after = None
        execute(database, f"UPDATE things SET id = -1 WHERE id = {MANY - 1}")
        with pytest.raises(Incomplete, match="others wrote 'things' while it was read"):
            async for _ in rows:
                pass
        assert rows.end is not None
        assert rows.end.changed


async def test_a_dataset_that_is_replaced_while_the_client_is_away_is_refused(
    records: Running, database: Path
) -> None:
    async with FaultProxy(records.port) as proxy, AsyncClient(proxy.url) as client:
        proxy.cut_after = 100_000
        rows = client.records("things")
        await anext(rows)
        copy = database.with_name("copy.db")
        copy.write_bytes(database.read_bytes())
        copy.replace(database)
        proxy.cut()
        with pytest.raises(Refused) as refused:
            async for _ in rows:
                pass
        assert refused.value.status == 409


@pytest.mark.parametrize("bad", [0, MANY // 2, MANY - 1], ids=["first", "middle", "last"])
async def test_a_row_that_cannot_be_sent_is_an_error_after_all_rows_before_it(
    records: Running, database: Path, bad: int
) -> None:
    execute(database, f"UPDATE things SET name = CAST(x'ff' AS TEXT) WHERE id = {bad}")
    async with AsyncClient(records.url, patience=0.0) as client:
        got: list[Any] = []

        async def read() -> None:
            async for page in client.records("things").pages():
                got.extend(page)

        with pytest.raises(Failed, match=f"the row '{bad}' has a text in 'name'"):
            await read()
        assert got == ROWS[:bad]


def lines(*values: Any) -> bytes:
    return b"".join(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE) for value in values)


SENT = lines({"row": {"id": 1}}, {"cursor": "c"})
END = {
    "rows": 1,
    "sha256": hashlib.sha256(SENT).hexdigest(),
    "changed": False,
    "moved": False,
    "replaced": 0,
}


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        (b"", Failed, "has no end after 0 rows"),
        (SENT, Failed, "has no end after 1 rows"),
        (SENT + lines({"end": END})[:-1], Failed, "has no end after 1 rows"),
        (
            SENT + lines({"end": {**END, "rows": 2}}),
            DigestMismatch,
            "otherwise than they were sent",
        ),
        (SENT.replace(b"1", b"2") + lines({"end": END}), DigestMismatch, "otherwise"),
        (SENT * 2 + lines({"end": END}), DigestMismatch, "otherwise than they were sent"),
    ],
)
async def test_a_proxy_that_gives_a_cut_body_a_regular_end_is_seen_through(
    body: bytes, error: type[Exception], words: str
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async with (
        serving(answer) as port,
        AsyncClient(f"http://127.0.0.1:{port}", patience=0.0) as client,
    ):
        with pytest.raises(error, match=words):
            async for _ in client.records("things"):
                pass
