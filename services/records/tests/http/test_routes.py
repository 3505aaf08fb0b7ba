import asyncio
import hashlib
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import jwt
import orjson
import pytest
from prometheus_client import REGISTRY

from eddyline.testing import Stream, eventually
from eddyline_records.demo import make_users
from eddyline_records.sources.sqlite.source import SqliteSource

Make = Callable[..., SqliteSource]
Serve = Callable[..., Any]
Fetch = Callable[..., Awaitable[Stream]]
KEY = "k" * 32


@pytest.fixture(params=[{}, {"http": "httptools"}], ids=["ours", "plain uvicorn"])
def server(request: pytest.FixtureRequest) -> Any:
    return request.param


async def get(fetch: Fetch, url: str, **options: Any) -> tuple[int, Any]:
    stream = await fetch(url, **options)
    return stream.status, await stream.json()


async def lines(fetch: Fetch, url: str) -> list[Any]:
    stream = await fetch(url)
    assert stream.status == 200
    assert stream.headers["content-type"] == "application/x-ndjson"
    values = [value async for value in stream.values()]
    assert stream.clean
    return values


def bearer(scope: str) -> dict[str, str]:
    token = jwt.encode({"exp": 2**32, "scope": scope}, KEY, "HS256")
    return {"Authorization": f"Bearer {token}"}


async def test_streams_the_users_of_the_lesson(
    serve: Serve, fetch: Fetch, tmp_path: Path, server: Any
) -> None:
    make_users(tmp_path / "users.db", 20_000)
    async with serve(server, demo=tmp_path / "users.db") as run:
        stream = await fetch(f"{run.url}/users/stream")
        assert (await stream.read()).startswith(b'{"id":0,"name":"User 0"}\n{"id":1,')
        expected = [{"id": i, "name": f"User {i}"} for i in range(20_000)]
        assert await lines(fetch, f"{run.url}/users/stream") == expected


async def test_a_million_users(serve: Serve, fetch: Fetch, tmp_path: Path) -> None:
    async with serve(demo=tmp_path / "users.db") as run:
        stream = await fetch(f"{run.url}/users/stream")
        count, last = 0, b""
        async for chunk in stream.chunks():
            count += chunk.count(b"\n")
            last = chunk
        assert stream.clean
    assert count == 1_000_000
    assert last.endswith(b'{"id":999999,"name":"User 999999"}\n')


async def test_pages_by_the_last_key(
    serve: Serve, fetch: Fetch, make: Make, configured: Callable[[SqliteSource], str]
) -> None:
    dataset = make((i, f"n{i}") for i in range(0, 50, 2))
    async with serve(datasets=configured(dataset)) as run:
        url = f"{run.url}/records/things?limit=10"
        got = page = await lines(fetch, url)
        while page:
            page = await lines(fetch, f"{url}&after={got[-1]['id']}")
            got += page
        assert [row["id"] for row in got] == list(range(0, 50, 2))
        assert await lines(fetch, f"{run.url}/records/things?columns=name&after=46") == [
            {"name": "n48"}
        ]


async def test_lists_the_datasets(
    serve: Serve, fetch: Fetch, make: Make, configured: Callable[[SqliteSource], str]
) -> None:
    async with serve(datasets=configured(make([]))) as run:
        assert await get(fetch, f"{run.url}/records") == (
            200,
            {
                "datasets": [{"name": "things", "key": ["id"], "columns": ["id", "name"]}],
                "unavailable": [],
            },
        )


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/users/stream", 404, "there is no dataset 'users'; there are: things"),
        ("/records/other", 404, "there is no dataset 'other'; there are: things"),
        ("/records/things?columns=id,salary", 400, "there is no column 'salary'"),
        ("/records/things?after=x", 400, "after='x': the key 'id' is of type INTEGER"),
        ("/records/things?after=", 400, "after='': the key 'id' is of type INTEGER"),
        ("/records/things?after=nan", 400, "after='nan': the key 'id' is of type INTEGER"),
        ("/records/things?after=1_0", 400, "after='1_0': the key 'id' is of type INTEGER"),
        ("/records/things?after=%FF", 400, "not UTF-8"),
        ("/records/things?colums=id", 400, "there is no parameter 'colums': there are columns"),
        ("/records/things?columns=", 400, "there is no column ''"),
        ("/records/things?after=1&after=2", 400, "the parameter 'after' is given 2 times"),
        ("/records?x=1", 400, "there is no parameter 'x': there are none"),
        ("/users/stream?limit=5", 400, "there is no parameter 'limit': there are none"),
        ("/records/things?framed=yes", 422, "framed"),
        ("/records/things?limit=1_0", 422, "limit"),
        ("/records/things?limit=0", 422, "limit"),
        ("/records/things?limit=-1", 422, "limit"),
    ],
)
async def test_bad_requests_are_named(
    serve: Serve,
    fetch: Fetch,
    make: Make,
    configured: Callable[[SqliteSource], str],
    path: str,
    status: int,
    detail: str,
) -> None:
    async with serve(datasets=configured(make([]))) as run:
        got, body = await get(fetch, run.url + path)
        assert got == status
        assert detail in body["detail"]
        await eventually(lambda: run.app.state.context.limits.open == 0)


@pytest.mark.parametrize(
    "fault",
    [
        "eddyline_records.sources.sqlite.source.SqliteSource.scan",
        "eddyline_records.http.routes.RowsResponse",
        "eddyline.responses.body.BodyResponse.init_headers",
    ],
)
async def test_a_fault_between_admission_and_answer_gives_the_permit_back(
    serve: Serve,
    fetch: Fetch,
    make: Make,
    configured: Callable[[SqliteSource], str],
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a fault")

    async with serve(datasets=configured(make([(1, "x")])), limit_streams=1) as run:
        url = f"{run.url}/records/things"
        with monkeypatch.context() as patch:
            patch.setattr(fault, broken)
            for _ in range(3):
                assert (await fetch(url)).status == 500
                await eventually(lambda: run.app.state.context.limits.open == 0)
        assert len(await lines(fetch, url)) == 1


async def test_a_dataset_that_is_away_is_503_and_tells_no_path(
    serve: Serve, fetch: Fetch, make: Make, configured: Callable[[SqliteSource], str]
) -> None:
    dataset = make([])
    dataset.path.unlink()
    async with serve(datasets=configured(dataset)) as run:
        status, body = await get(fetch, f"{run.url}/records/things")
        assert status == 503
        assert str(dataset.path) not in str(body)


async def test_a_row_that_fails_is_no_regular_end(
    serve: Serve, fetch: Fetch, make: Make, configured: Callable[[SqliteSource], str], server: Any
) -> None:
    dataset = make([*((i, "x" * 100) for i in range(2000)), (2000, "y")])
    with closing(sqlite3.connect(dataset.path)) as connection, connection:
        connection.execute("UPDATE things SET name = CAST(x'ff' AS TEXT) WHERE id = 2000")
    async with serve(server, datasets=configured(dataset) + "&invalid_text=error") as run:
        stream = await fetch(f"{run.url}/records/things")
        sent, error = split(await stream.body(), stream.headers["x-stream-exception-tag"])
        assert sent.endswith(b'{"id":1999,"name":"' + b"x" * 100 + b'"}\n')
        assert (error["rows"], error["error"]["title"]) == (2000, "Bad value")
        assert "the row '2000' has a text in 'name'" in error["error"]["detail"]
        assert stream.clean is False


async def test_scopes(
    serve: Serve, fetch: Fetch, make: Make, configured: Callable[[SqliteSource], str]
) -> None:
    async with serve(datasets=configured(make([(1, "x")])), auth_key=KEY) as run:
        url = f"{run.url}/records"
        assert (await get(fetch, f"{url}/things"))[0] == 401
        other = bearer("records:read:other")
        assert (await get(fetch, f"{url}/things", headers=other))[0] == 403
        assert (await get(fetch, url, headers=other)) == (
            200,
            {"datasets": [], "unavailable": []},
        )
        # A caller that may not read it is not told whether it is there.
        assert (await get(fetch, f"{url}/absent", headers=other))[0] == 403
        _, body = await get(fetch, f"{url}/other", headers=other)
        assert "things" not in body["detail"]
        assert (await get(fetch, f"{url}/things", headers=bearer("records:read:things")))[0] == 200


async def test_all_is_closed_when_the_client_leaves(
    serve: Serve, fetch: Fetch, make: Make, configured: Callable[[SqliteSource], str], server: Any
) -> None:
    dataset = make((i, "x" * 1000) for i in range(30_000))
    async with serve(server, datasets=configured(dataset)) as run:
        before = left()
        stream = await fetch(f"{run.url}/records/things", receive_buffer=8192)
        await stream.read()
        assert dataset.path in open_files()
        stream.reset()
        await eventually(lambda: left() == before + 1)
        await eventually(lambda: run.app.state.context.limits.open == 0)
        assert dataset.path not in open_files()


def open_files() -> set[Path]:
    folder = Path("/proc/self/fd")
    return {link.resolve() for link in folder.iterdir() if link.is_symlink()}


def left() -> float:
    labels = {"service": "records", "kind": "pull", "reason": "client_closed"}
    return REGISTRY.get_sample_value("eddyline_streams_ended_total", labels) or 0


async def test_a_locked_database_holds_up_its_own_readers_alone(
    serve: Serve, fetch: Fetch, tmp_path: Path
) -> None:
    """SQLite sleeps for 5 s while a database is locked: six threads of it held all others, too."""
    for name in ("locked", "free"):
        make_users(tmp_path / f"{name}.db", 10)
    datasets = " ".join(
        f"{name}=sqlite:///{tmp_path}/{name}.db?table=users&key=id" for name in ("locked", "free")
    )
    async with serve(datasets=datasets) as run:
        with closing(sqlite3.connect(tmp_path / "locked.db", isolation_level=None)) as lock:
            lock.execute("BEGIN EXCLUSIVE")
            waiting = [asyncio.create_task(fetch(f"{run.url}/records/locked")) for _ in range(40)]
            assert len(await lines(fetch, f"{run.url}/records/free")) == 10
            assert not any(task.done() for task in waiting)
            lock.execute("ROLLBACK")
            answers = await asyncio.gather(*waiting)
            assert {answer.status for answer in answers} == {200}


def split(body: bytes, tag: str) -> tuple[bytes, Any]:
    """The rows of a body that failed, and the message of the block after them, as ClickHouse's
    page on its HTTP interface has it ("Response error handling")."""
    opening = b"\r\n__exception__\r\n%b\r\n" % tag.encode()
    sent, _, block = body.partition(opening)
    message, _, rest = block.partition(b"\n")
    assert rest == b"%d %b\r\n__exception__\r\n" % (len(message), tag.encode())
    assert len(tag) == 16
    return sent, orjson.loads(message)


async def framed(fetch: Fetch, url: str) -> tuple[list[Any], dict[str, Any], Stream]:
    """The rows, the last line, and the stream at its end."""
    stream = await fetch(url)
    assert stream.status == 200
    body = await stream.body()
    *parts, last = body.splitlines(keepends=True)
    rows = [line["row"] for line in map(orjson.loads, parts) if "row" in line]
    told = orjson.loads(last)
    if "end" in told:
        assert told["end"]["rows"] == len(rows)
        assert told["end"]["bytes"] == len(b"".join(parts))
        assert told["end"]["sha256"] == hashlib.sha256(b"".join(parts)).hexdigest()
    return rows, told, stream


async def test_a_framed_body_ends_with_one_end(
    serve: Serve, fetch: Fetch, make: Make, configured: Callable[[SqliteSource], str], server: Any
) -> None:
    dataset = make((i, "x" * 100) for i in range(2000))
    async with serve(server, datasets=configured(dataset)) as run:
        url = f"{run.url}/records/things?framed=1"
        rows, told, stream = await framed(fetch, url)
        assert stream.clean
        assert [row["id"] for row in rows] == list(range(2000))
        cursor = told["end"]["cursor"]
        assert told["end"]["changed"] is False
        rows, told, _ = await framed(fetch, f"{url}&cursor={cursor}")
        assert (rows, told["end"]["rows"], told["end"]["cursor"]) == ([], 0, cursor)


async def test_a_framed_body_that_fails_ends_with_one_error_and_no_regular_end(
    serve: Serve, fetch: Fetch, make: Make, configured: Callable[[SqliteSource], str], server: Any
) -> None:
    dataset = make([*((i, "x" * 100) for i in range(2000)), (2000, "y")])
    with closing(sqlite3.connect(dataset.path)) as connection, connection:
        connection.execute("UPDATE things SET name = CAST(x'ff' AS TEXT) WHERE id = 2000")
    async with serve(server, datasets=configured(dataset) + "&invalid_text=error") as run:
        rows, told, stream = await framed(fetch, f"{run.url}/records/things?framed=1")
        assert stream.clean is False
        assert [row["id"] for row in rows] == list(range(2000))
        assert told["error"]["rows"] == 2000
        cursor = told["error"]["cursor"]
        assert (await fetch(f"{run.url}/records/things?cursor={cursor}")).status == 502
        assert "the row '2000' has a text in 'name'" in told["error"]["detail"]


async def test_a_table_that_changes_in_mid_stream_is_told_and_cut(
    serve: Serve, fetch: Fetch, make: Make, configured: Callable[[SqliteSource], str], server: Any
) -> None:
    dataset = make((i, "x" * 1000) for i in range(30_000))
    async with serve(server, datasets=configured(dataset)) as run:
        stream = await fetch(f"{run.url}/records/things?framed=1", receive_buffer=8192)
        body = await stream.read()
        with closing(sqlite3.connect(dataset.path)) as connection, connection:
            connection.execute("ALTER TABLE things DROP COLUMN name")
        body += await stream.body()
        assert stream.clean is False
        *lines, last = body.splitlines()
        assert "another schema" in orjson.loads(last)["error"]["detail"]
        rows = [line["row"] for line in map(orjson.loads, lines) if "row" in line]
        assert rows == [{"id": i, "name": "x" * 1000} for i in range(len(rows))]


@pytest.mark.parametrize("framing", ["", "?framed=1"])
async def test_a_fault_of_the_first_page_is_an_error_status(
    serve: Serve,
    fetch: Fetch,
    make: Make,
    configured: Callable[[SqliteSource], str],
    server: Any,
    framing: str,
) -> None:
    dataset = make([(1, "x")])
    with closing(sqlite3.connect(dataset.path)) as connection, connection:
        connection.execute("UPDATE things SET name = CAST(x'ff' AS TEXT)")
    async with serve(server, datasets=configured(dataset) + "&invalid_text=error") as run:
        status, body = await get(fetch, f"{run.url}/records/things{framing}")
        assert status == 502
        assert "the row '1' has a text in 'name' that is not UTF-8" in body["detail"]
        await eventually(lambda: run.app.state.context.limits.open == 0)


async def test_head_has_the_status_and_the_type_of_get(
    serve: Serve, fetch: Fetch, make: Make, configured: Callable[[SqliteSource], str], server: Any
) -> None:
    async with serve(server, datasets=configured(make([(1, "x")]))) as run:
        stream = await fetch(f"{run.url}/records/things", method="HEAD")
        assert stream.status == 200
        assert stream.headers["content-type"] == "application/x-ndjson"
        assert "content-length" not in stream.headers
        assert (await fetch(f"{run.url}/records/things?after=x", method="HEAD")).status == 400
        assert (await fetch(f"{run.url}/records/none", method="HEAD")).status == 404
        assert (await fetch(f"{run.url}/records", method="HEAD")).status == 200


async def test_a_dataset_that_cannot_be_served_leaves_the_others_alone(
    serve: Serve, fetch: Fetch, make: Make, configured: Callable[[SqliteSource], str]
) -> None:
    dataset = make([(1, "x")])
    broken = f"broken=sqlite:///{dataset.path}?table=things&key=name"
    words = "the dataset 'broken' cannot be served: the column 'name' of 'things' is no key"
    async with serve(datasets=f"{configured(dataset)} {broken}") as run:
        status, listed = await get(fetch, f"{run.url}/records")
        assert status == 200
        assert [found["name"] for found in listed["datasets"]] == ["things"]
        [unavailable] = listed["unavailable"]
        assert unavailable["name"] == "broken"
        assert unavailable["detail"].startswith(words)
        status, body = await get(fetch, f"{run.url}/records/broken")
        assert (status, body["title"]) == (503, "Misconfigured")
        assert body["detail"].startswith(words)
        assert len(await lines(fetch, f"{run.url}/records/things")) == 1
        status, ready = await get(fetch, f"{run.url}/readyz")
        assert status == 503
        assert ready["faults"]["records"].startswith(words)


async def test_a_dataset_that_is_mended_makes_the_service_ready(
    serve: Serve,
    fetch: Fetch,
    make: Make,
    configured: Callable[[SqliteSource], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("eddyline_records.readiness.INTERVAL", 0.01)
    dataset = make([(1, "x")], "id INTEGER NOT NULL, name TEXT")
    async with serve(datasets=configured(dataset)) as run:
        assert (await get(fetch, f"{run.url}/readyz"))[0] == 503
        with closing(sqlite3.connect(dataset.path)) as connection, connection:
            connection.execute("CREATE UNIQUE INDEX by_id ON things(id)")

        async def ready() -> bool:
            return (await get(fetch, f"{run.url}/readyz"))[0] == 200

        while not await ready():
            pass
        assert len(await lines(fetch, f"{run.url}/records/things")) == 1
