"""Formats and codings on the wire; and that a body which fails is never taken for a whole one."""

import csv
import io
import sqlite3
import zlib
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

import orjson
import pytest
import zstandard

from eddyline.testing import Stream
from eddyline_records.sources.sqlite.source import SqliteSource

Make = Callable[..., SqliteSource]
Serve = Callable[..., Any]
Fetch = Callable[..., Awaitable[Stream]]
Configured = Callable[[SqliteSource], str]

MANY = 3000
FORMATS = ["ndjson", "jsonl", "json", "csv"]
CODINGS = ["identity", "gzip", "zstd"]


def decoded(body: bytes, coding: str | None) -> tuple[bytes, bool]:
    """All that a decoder gives out, and whether it has seen the end of the compressed stream."""
    if coding == "gzip":
        stream = zlib.decompressobj(wbits=31)
        return stream.decompress(body), stream.eof
    if coding == "zstd":
        zstd = zstandard.ZstdDecompressor().decompressobj()
        return zstd.decompress(body), zstd.eof
    return body, True


def parsed(body: bytes, format: str) -> list[int]:
    """The ids of the rows; raises ValueError for a body that is not whole to its reader."""
    if format == "csv":
        header, *rows = csv.reader(io.StringIO(body.decode(), newline=""))
        assert header == ["id", "name"]
        return [int(id) for id, _ in rows]
    if format == "json":
        return [row["id"] for row in orjson.loads(body)]
    return [orjson.loads(line)["id"] for line in body.splitlines()]


async def ask(fetch: Fetch, url: str, format: str, coding: str) -> Stream:
    headers = {"Accept-Encoding": coding}
    return await fetch(f"{url}/records/things?format={format}", headers=headers)


@pytest.mark.parametrize("coding", CODINGS)
async def test_every_format_has_every_row(
    serve: Serve, fetch: Fetch, make: Make, configured: Configured, coding: str
) -> None:
    dataset = configured(make((i, "x" * 100) for i in range(MANY)))
    async with serve(datasets=dataset) as run:
        for format in FORMATS:
            stream = await ask(fetch, run.url, format, coding)
            assert stream.headers["vary"] == "Accept, Accept-Encoding"
            named = stream.headers.get("content-encoding")
            assert named == (None if coding == "identity" else coding)
            body, ended = decoded(await stream.body(), named)
            assert (parsed(body, format), ended, stream.clean) == ([*range(MANY)], True, True)


@pytest.mark.parametrize("format", FORMATS)
async def test_no_rows_are_a_whole_body(
    serve: Serve, fetch: Fetch, make: Make, configured: Configured, format: str
) -> None:
    async with serve(datasets=configured(make([]))) as run:
        for coding in CODINGS:
            stream = await ask(fetch, run.url, format, coding)
            body, ended = decoded(await stream.body(), stream.headers.get("content-encoding"))
            assert (parsed(body, format), ended, stream.clean) == ([], True, True)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("bad", [0, MANY // 2, MANY - 1], ids=["first", "middle", "last"])
async def test_a_fault_is_told_in_every_format(
    serve: Serve, fetch: Fetch, make: Make, configured: Configured, coding: str, bad: int
) -> None:
    dataset = make((i, "x" * 100) for i in range(MANY))
    with closing(sqlite3.connect(dataset.path)) as connection, connection:
        connection.execute("UPDATE things SET name = CAST(x'ff' AS TEXT) WHERE id = ?", (bad,))
    async with serve(datasets=configured(dataset) + "&invalid_text=error") as run:
        for format in FORMATS:
            stream = await ask(fetch, run.url, format, coding)
            if bad == 0:
                assert stream.status == 502
                assert f"the row '{bad}'" in (await stream.json())["detail"]
                continue
            body, ended = decoded(await stream.body(), stream.headers.get("content-encoding"))
            assert stream.clean is False
            assert ended is (coding == "identity")
            if format == "json":
                with pytest.raises(ValueError, match="unexpected end of data"):
                    parsed(body, format)
                continue
            rows, _, block = body.partition(b"\r\n__exception__\r\n")
            assert parsed(rows, format) == [*range(bad)]
            assert block.startswith(stream.headers["x-clickhouse-exception-tag"].encode())
            assert f"the row '{bad}'".encode() in block


async def test_each_page_can_be_decoded_as_soon_as_it_is_there(
    serve: Serve, fetch: Fetch, make: Make, configured: Configured
) -> None:
    dataset = make((i, f"{i:04}" * 250) for i in range(8000))
    async with serve(datasets=configured(dataset)) as run:
        for coding in ("gzip", "zstd"):
            stream = await fetch(f"{run.url}/records/things", headers={"Accept-Encoding": coding})
            first, ended = decoded(await stream.read(), coding)
            assert first.count(b"\n") >= 60
            assert not ended


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("format=csv&framed=1", "framed=1 has lines of JSON; it is not for format=csv"),
        ("null=NA", "null and guard are for format=csv alone, not for ndjson"),
        ("format=json&guard=1", "null and guard are for format=csv alone, not for json"),
        ("format=csv&null=%22", "null='\"' must have no quote"),
    ],
)
async def test_parameters_that_contradict_each_other_are_named(
    serve: Serve, fetch: Fetch, make: Make, configured: Configured, query: str, detail: str
) -> None:
    async with serve(datasets=configured(make([]))) as run:
        stream = await fetch(f"{run.url}/records/things?{query}")
        assert stream.status == 400
        assert detail in (await stream.json())["detail"]


async def test_an_accept_that_takes_no_format_is_406(
    serve: Serve, fetch: Fetch, make: Make, configured: Configured
) -> None:
    async with serve(datasets=configured(make([(1, "x")]))) as run:
        url = f"{run.url}/records/things"
        assert (await fetch(url, headers={"Accept": "image/png"})).status == 406
        stream = await fetch(url, headers={"Accept": "text/csv"}, method="HEAD")
        assert (stream.status, stream.headers["content-type"]) == (200, "text/csv; charset=utf-8")
        stream = await fetch(url, headers={"Accept": "text/csv"})
        assert await stream.body() == b"id,name\r\n1,x\r\n"


async def test_an_invalid_text_is_as_the_request_says(
    serve: Serve, fetch: Fetch, make: Make, configured: Configured
) -> None:
    dataset = make([(1, "x")])
    with closing(sqlite3.connect(dataset.path)) as connection, connection:
        connection.execute("UPDATE things SET name = CAST(x'ff' AS TEXT)")
    async with serve(datasets=configured(dataset)) as run:
        url = f"{run.url}/records/things?invalid_utf8="
        assert (await fetch(f"{url}error")).status == 502
        assert "\ufffd".encode() in await (await fetch(f"{url}replace")).body()
