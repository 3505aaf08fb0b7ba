"""Conditions, order, counts, schemas and shards on the wire."""

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

import jsonschema
import pytest

from eddyline.testing import Stream, eventually
from eddyline_records.sources.sqlite.source import SqliteSource

Make = Callable[..., SqliteSource]
Serve = Callable[..., Any]
Fetch = Callable[..., Awaitable[Stream]]
Configured = Callable[[SqliteSource], str]


async def ids(fetch: Fetch, url: str) -> list[int]:
    stream = await fetch(url)
    assert stream.status == 200
    found = [row["id"] async for row in stream.values()]
    assert stream.clean
    return found


async def test_conditions_and_order(
    serve: Serve, fetch: Fetch, make: Make, configured: Configured
) -> None:
    dataset = configured(make((i, f"n{i}") for i in range(40))) + "&where=any"
    async with serve(datasets=dataset) as run:
        url = f"{run.url}/records/things"
        assert await ids(fetch, f"{url}?where[id][gte]=3&where[id][lt]=6") == [3, 4, 5]
        assert await ids(fetch, f"{url}?where%5Bname%5D%5Bprefix%5D=n3&limit=3") == [3, 30, 31]
        assert await ids(fetch, f"{url}?where[id][in]=7,5&order=desc") == [7, 5]
        assert await ids(fetch, f"{url}?order=desc&after=3") == [2, 1, 0]
        assert await ids(fetch, f"{url}?where[name][null]=1") == []


async def test_links_keep_conditions_and_order(
    serve: Serve, fetch: Fetch, make: Make, configured: Configured
) -> None:
    async with serve(datasets=configured(make((i, "x") for i in range(40)))) as run:
        target: str | None = "/records/things?where[id][lt]=11&order=desc&limit=4"
        got: list[int] = []
        while target is not None:
            stream = await fetch(run.url + target)
            got += [row["id"] async for row in stream.values()]
            link = stream.headers.get("link")
            target = link[1 : link.index(">")] if link else None
            if target:
                other = target.replace("lt%5D=11", "lt%5D=12").replace("[lt]=11", "[lt]=12")
                assert other != target
                assert (await fetch(run.url + other)).status == 400
        assert got == list(range(10, -1, -1))


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("where[name][eq]=x", "where[name][eq]='x': conditions may name id"),
        ("where[nmae][eq]=x", "where[nmae][eq]='x': conditions may name id"),
        ("where[id][gte]=abc", "where[id][gte]='abc': 'abc' is no number"),
        ("where[id][like]=5", "there is no parameter 'where[id][like]'"),
        ("where[column][op]=5", "there is no parameter 'where[column][op]'"),
        ("where[id]=5", "there is no parameter 'where[id]'"),
        ("where[id][gte]=5&where[id][gte]=6", "is given 2 times"),
    ],
)
async def test_bad_conditions_are_named(
    serve: Serve, fetch: Fetch, make: Make, configured: Configured, query: str, detail: str
) -> None:
    async with serve(datasets=configured(make([(1, "x")]))) as run:
        stream = await fetch(f"{run.url}/records/things?{query}")
        assert stream.status == 400
        assert detail in (await stream.json())["detail"]


async def test_the_number_of_rows_is_told_where_it_is_asked_for(
    serve: Serve, fetch: Fetch, make: Make, configured: Configured
) -> None:
    dataset = make((i, "x") for i in range(0, 40, 2))
    async with serve(datasets=configured(dataset)) as run:
        url = f"{run.url}/records/things"
        assert "x-row-count" not in (await fetch(url)).headers
        for method in ("GET", "HEAD"):
            stream = await fetch(f"{url}?count=exact&after=3&limit=2", method=method)
            assert stream.headers["x-row-count"] == "18"
            stream = await fetch(f"{url}?count=planned", method=method)
            assert stream.headers["x-row-count-estimate"] == "39"
        with closing(sqlite3.connect(dataset.path)) as connection:
            connection.executescript("CREATE INDEX by_name ON things(name); ANALYZE")
        stream = await fetch(f"{url}?count=planned")
        assert stream.headers["x-row-count-estimate"] == "20"


async def test_a_schema_describes_the_rows(
    serve: Serve, fetch: Fetch, make: Make, configured: Configured
) -> None:
    dataset = make([(1, "x"), (2, None), (5, b"\xff")])
    async with serve(datasets=configured(dataset)) as run:
        url = f"{run.url}/records/things"
        schema = await (await fetch(f"{url}/schema")).json()
        head = await fetch(f"{url}/schema", method="HEAD")
        assert head.headers["x-dataset-version"] == schema["version"]
        assert (schema["key"], schema["key_type"], schema["estimate"]) == (["id"], "INTEGER", 5)
        assert schema["columns"] == [
            {"name": "id", "type": "INTEGER", "where": True},
            {"name": "name", "type": "TEXT", "where": False},
        ]
        rows = [row async for row in (await fetch(url)).values()]
        for row in rows:
            jsonschema.validate(row, schema["json_schema"])


async def test_shards_are_all_rows_together(
    serve: Serve, fetch: Fetch, make: Make, configured: Configured
) -> None:
    dataset = make((i * i, "x") for i in range(100))
    async with serve(datasets=configured(dataset)) as run:
        url = f"{run.url}/records/things"
        query = "columns=id&where[id][gte]=100"
        listed = await (await fetch(f"{url}/shards?n=4&{query}")).json()
        parts = [
            await ids(fetch, f"{url}?{query}&cursor={shard['cursor']}")
            for shard in listed["shards"]
        ]
        assert len(parts) == 4
        assert [id for part in parts for id in part] == [i * i for i in range(10, 100)]
        assert (await fetch(f"{url}?cursor={listed['shards'][1]['cursor']}")).status == 400
        assert (await fetch(f"{url}/shards?n=0")).status == 422
        assert (await fetch(f"{url}/shards?limit=1")).status == 400


async def test_counting_and_sharing_out_are_admitted_as_streams_are(
    serve: Serve, fetch: Fetch, make: Make, configured: Configured
) -> None:
    """They may read the whole dataset: any number of them at once would be a way around limits."""
    dataset = make((i, "x" * 1000) for i in range(9000))
    async with serve(datasets=configured(dataset), limit_streams=1) as run:
        url = f"{run.url}/records/things"
        stream = await fetch(url, receive_buffer=8192)
        await stream.read()
        for path in ("/shards", "?count=exact&limit=1"):
            assert (await fetch(url + path)).status == 429
        stream.reset()
        await eventually(lambda: run.app.state.context.limits.open == 0)
        for path in ("/shards", "?count=exact&limit=1"):
            assert (await fetch(url + path)).status == 200
            await eventually(lambda: run.app.state.context.limits.open == 0)


async def test_no_rows_are_no_shards(
    serve: Serve, fetch: Fetch, make: Make, configured: Configured
) -> None:
    async with serve(datasets=configured(make([]))) as run:
        listed = await (await fetch(f"{run.url}/records/things/shards")).json()
        assert listed["shards"] == []
