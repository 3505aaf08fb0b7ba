"""Cursors, links, versions and snapshots on the wire."""

import os
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from eddyline.testing import Stream
from eddyline_records.sources.sqlite.source import SqliteSource

Make = Callable[..., SqliteSource]
Serve = Callable[..., Any]
Fetch = Callable[..., Awaitable[Stream]]
Configured = Callable[[SqliteSource], str]


def execute(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


def next_of(stream: Stream) -> str | None:
    """The target of `Link: <…>; rel="next"` (RFC 8288)."""
    link = stream.headers.get("link")
    if link is None:
        return None
    target, _, rest = link.removeprefix("<").partition(">")
    assert rest == '; rel="next"'
    return target


async def rows(stream: Stream) -> list[Any]:
    found = [row async for row in stream.values()]
    assert stream.clean
    return found


async def test_links_lead_through_all_rows_that_were_there_at_the_first_page(
    serve: Serve, fetch: Fetch, make: Make, configured: Configured
) -> None:
    dataset = make((i, f"n{i}") for i in range(100))
    async with serve(datasets=configured(dataset)) as run:
        target: str | None = "/records/things?limit=30&after=9&columns=id"
        got: list[int] = []
        while target is not None:
            stream = await fetch(run.url + target)
            got += [row["id"] for row in await rows(stream)]
            target = next_of(stream)
            execute(dataset.path, f"INSERT INTO things VALUES ({1000 + len(got)}, 'late')")
        assert got == list(range(10, 100))


@pytest.mark.parametrize("limit", [29, 30, 31])
async def test_the_last_page_has_no_link(
    serve: Serve, fetch: Fetch, make: Make, configured: Configured, limit: int
) -> None:
    async with serve(datasets=configured(make((i, "x") for i in range(30)))) as run:
        stream = await fetch(f"{run.url}/records/things?limit={limit}")
        assert (next_of(stream) is not None) == (limit < 30)


async def test_a_cursor_is_bound_to_the_file_and_to_the_request(
    serve: Serve, fetch: Fetch, make: Make, configured: Configured
) -> None:
    dataset = make((i, "x") for i in range(30))
    async with serve(datasets=configured(dataset)) as run:
        stream = await fetch(f"{run.url}/records/things?limit=3")
        version = stream.headers["x-dataset-version"]
        target = next_of(stream)
        assert target is not None
        assert (await fetch(f"{run.url}{target}x")).status == 400
        assert (await fetch(f"{run.url}{target}&columns=id")).status == 400
        assert (await fetch(f"{run.url}{target}&after=3")).status == 400
        assert (await fetch(f"{run.url}/records/things?version={version}")).status == 200
        copy = dataset.path.with_name("copy.db")
        copy.write_bytes(dataset.path.read_bytes())
        os.replace(copy, dataset.path)
        assert (await fetch(f"{run.url}{target}")).status == 409
        refused = await fetch(f"{run.url}/records/things?after=3&version={version}")
        assert refused.status == 409
        assert "was replaced since" in (await refused.json())["detail"]


async def test_a_cursor_is_taken_by_a_process_with_the_same_key_alone(
    serve: Serve, fetch: Fetch, make: Make, configured: Configured
) -> None:
    dataset = configured(make((i, "x") for i in range(30)))
    async with serve(datasets=dataset) as run:
        target = next_of(await fetch(f"{run.url}/records/things?limit=3"))
    async with serve(datasets=dataset) as run:
        assert [row["id"] for row in await rows(await fetch(f"{run.url}{target}"))] == [3, 4, 5]


async def test_a_framed_stream_tells_that_rows_before_its_cursor_are_of_another_state(
    serve: Serve, fetch: Fetch, make: Make, configured: Configured
) -> None:
    """A row whose key is changed while a client is away came twice, or never."""
    dataset = make((i, "x") for i in range(30))
    settled = 1_700_000_000
    os.utime(dataset.path, (settled, settled))
    async with serve(datasets=configured(dataset)) as run:
        url = f"{run.url}/records/things?framed=1"

        async def end(query: str = "") -> Any:
            body = await (await fetch(url + query)).body()
            return orjson.loads(body.splitlines()[-1])["end"]

        first = await end("&limit=9")
        again = await end(f"&cursor={first['cursor']}")
        assert (again["rows"], again["changed"], again["moved"]) == (21, False, False)
        execute(dataset.path, "UPDATE things SET id = 29.5 * 2 WHERE id = 3")
        again = await end(f"&cursor={first['cursor']}")
        assert (again["rows"], again["changed"], again["moved"]) == (21, True, True)


async def test_a_written_dataset_is_told_in_plain_mode_and_a_snapshot_is_of_one_state(
    serve: Serve, fetch: Fetch, make: Make, configured: Configured
) -> None:
    dataset = make((i, "x" * 1000) for i in range(8000))
    execute(dataset.path, "PRAGMA journal_mode = WAL")
    async with serve(datasets=configured(dataset)) as run:
        url = f"{run.url}/records/things"
        for query, told in (("", "none"), ("?snapshot=1", "transaction")):
            stream = await fetch(url + query, receive_buffer=8192)
            assert stream.headers["x-snapshot"] == told
            body = await stream.read()
            # Rows far behind those that the server has made ahead of its client.
            execute(dataset.path, "UPDATE things SET id = -7999 - id WHERE id IN (7999, -15998)")
            body += await stream.body()
            sent, _, block = body.partition(b"\r\n__exception__\r\n")
            keys = [orjson.loads(line)["id"] for line in sent.splitlines()]
            if query:
                assert (stream.clean, block) == (True, b"")
                assert keys == [-15998, *range(7999)]
            else:
                assert stream.clean is False
                assert b"others wrote the dataset while it was read" in block
                assert keys == list(range(7999))
