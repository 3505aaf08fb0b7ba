import sqlite3
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import orjson
import pytest

from eddyline.errors import Unavailable
from eddyline_records.formats.json import ndjson
from eddyline_records.sources.base import BadValue, Schema, Selection
from eddyline_records.sources.sqlite.page import FETCH, PAGE
from eddyline_records.sources.sqlite.scan import CACHE, Policy, SqliteScan, connect
from eddyline_records.sources.sqlite.source import Found, SqliteSource
from eddyline_records.sources.sqlite.tables.key import TableKey
from eddyline_records.sources.sqlite.watch import identity, schema_version

Make = Callable[..., SqliteSource]


def scan(
    source: SqliteSource,
    columns: tuple[str, ...] = ("id", "name"),
    after: int | None = None,
    limit: int | None = None,
) -> SqliteScan:
    with closing(connect(source.path)) as connection:
        version = schema_version(connection)
    name = f't."{source.key[0]}"'.replace('a "b"', 'a ""b""')
    key = TableKey(source.key, (name,), (name,), "INTEGER", nullable=True)
    found = Found(key, identity(source.path), version)
    schema = Schema(columns, source.key, "INTEGER", "1", details=found)
    return source.scan(schema, Selection(columns, after and (after,), limit=limit))


def pages(scan: SqliteScan, columns: tuple[str, ...] = ("id", "name")) -> Iterator[bytes]:
    return scan.pages(ndjson(columns))


def rows(scan: SqliteScan, columns: tuple[str, ...] = ("id", "name")) -> list[Any]:
    return [orjson.loads(line) for page in pages(scan, columns) for line in page.splitlines()]


def test_every_row_once_in_order_of_the_key(make: Make) -> None:
    count = 10_000
    dataset = make((i, f"name {i}") for i in reversed(range(-5, count)))
    expected = [{"id": i, "name": f"name {i}"} for i in range(-5, count)]
    assert rows(scan(dataset)) == expected
    assert len(list(pages(scan(dataset)))) > 1


def test_a_page_is_about_its_size(make: Make) -> None:
    dataset = make((i, "x" * 1000) for i in range(1000))
    first, *others = pages(scan(dataset))
    line = len(first.splitlines()[0]) + 2
    assert all(PAGE <= len(page) < PAGE + (FETCH + 1) * line for page in [first, *others[:-1]])


def test_goes_on_after_a_key(make: Make) -> None:
    dataset = make((i, str(i)) for i in range(0, 100, 10))
    assert [row["id"] for row in rows(scan(dataset, after=70))] == [80, 90]
    assert [row["id"] for row in rows(scan(dataset, after=75))] == [80, 90]
    assert rows(scan(dataset, after=90)) == []


@pytest.mark.parametrize("limit", [1, FETCH - 1, FETCH, FETCH + 1, 5000, 9999])
def test_ends_at_the_limit(make: Make, limit: int) -> None:
    dataset = make((i, "x" * 20) for i in range(9000))
    got = rows(scan(dataset, limit=limit))
    assert [row["id"] for row in got] == list(range(min(limit, 9000)))


def test_only_the_columns_that_are_asked_for(make: Make) -> None:
    dataset = make([(1, "one"), (2, "two")])
    assert rows(scan(dataset, ("name",)), ("name",)) == [{"name": "one"}, {"name": "two"}]
    assert list(pages(scan(dataset, ("name", "id")), ("name", "id"))) == [
        b'{"name":"one","id":1}\n{"name":"two","id":2}\n'
    ]


def test_names_that_are_sql(make: Make) -> None:
    column = 'a "b" --'
    quoted = '"a ""b"" --"'
    dataset = make([(1, "x")], f"{quoted} INTEGER PRIMARY KEY, name TEXT", key=column)
    assert rows(scan(dataset, (column,)), (column,)) == [{column: 1}]


def invalid(make: Make, **options: Any) -> SqliteSource:
    """Row 999 of 2,000 has a text that is not UTF-8."""
    dataset = make((i, "x" * 100) for i in range(2000))
    with closing(sqlite3.connect(dataset.path)) as connection, connection:
        connection.execute("UPDATE things SET name = CAST(x'61ff' AS TEXT) WHERE id = 999")
    return replace(dataset, **options)


def test_a_text_that_is_not_utf8_is_mended_and_counted(make: Make) -> None:
    whole = scan(invalid(make))
    got = rows(whole)
    assert [row["id"] for row in got] == list(range(2000))
    assert [row["name"] for row in got if row["name"] != "x" * 100] == ["a\ufffd"]
    assert whole.summary().replaced == 1


def test_a_text_that_is_not_utf8_takes_no_good_row_with_it(make: Make) -> None:
    failing = scan(invalid(make, policy=Policy("error")))
    got: list[bytes] = []
    with pytest.raises(BadValue, match="the row '999' has a text in 'name' that is not UTF-8"):
        got.extend(pages(failing))
    assert b"".join(got).count(b"\n") == 999
    assert failing.summary().after == (998,)


def test_a_key_that_is_not_utf8_is_an_error_whatever_the_policy(make: Make) -> None:
    """U+FFFD in its place would be another key: a client that goes on after it would lose rows."""
    dataset = make([("a", 1), ("z", 2)], "id TEXT PRIMARY KEY, name TEXT")
    with closing(sqlite3.connect(dataset.path)) as connection, connection:
        connection.execute("UPDATE things SET id = CAST(x'80' AS TEXT) WHERE id = 'z'")
    got: list[bytes] = []
    with pytest.raises(BadValue, match="is not UTF-8"):
        got.extend(pages(scan(dataset)))
    assert got == [b'{"id":"a","name":"1"}\n']


def test_a_blob_is_base64(make: Make) -> None:
    assert rows(scan(make([(1, b"\xff")]))) == [{"id": 1, "name": {"$base64": "/w=="}}]


def test_a_row_without_a_key_raises(make: Make) -> None:
    dataset = make([(None, "x"), (None, "y")], "id TEXT PRIMARY KEY, name TEXT")
    with pytest.raises(BadValue, match="a row has no 'id', which is the key"):
        list(pages(scan(dataset)))


def test_no_lock_is_held_between_pages(make: Make) -> None:
    dataset = make((i, "x" * 1000) for i in range(200))
    following = pages(scan(dataset))
    next(following)
    with closing(sqlite3.connect(dataset.path, timeout=0)) as connection, connection:
        connection.execute("DELETE FROM things WHERE id = 199")
    assert b'"id":198' in list(following)[-1]


def test_cannot_write(make: Make) -> None:
    dataset = make([(1, "x")])
    harmful = replace(dataset, table='things"; DELETE FROM things; --')
    with pytest.raises(Unavailable):
        list(pages(scan(harmful)))
    assert len(rows(scan(dataset))) == 1


def test_interrupt_ends_a_query_that_runs(make: Make) -> None:
    dataset = make((i, "x") for i in range(1000))
    # A view that never comes to its first row, in place of the table.
    with closing(sqlite3.connect(dataset.path)) as connection, connection:
        connection.execute(
            "CREATE VIEW endless AS"
            " WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n)"
            " SELECT id, '' AS name FROM n WHERE id < 0"
        )
    endless = scan(replace(dataset, table="endless"))
    outcome: list[BaseException] = []

    def run() -> None:
        try:
            list(pages(endless))
        except Unavailable as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        endless.interrupt()
        thread.join(0.01)
    assert str(outcome[0].__cause__) == "interrupted"


def test_interrupting_before_and_after_does_nothing(make: Make) -> None:
    whole = scan(make([(1, "x")]))
    whole.interrupt()
    assert len(rows(whole)) == 1
    whole.interrupt()


def test_large_rows_are_fetched_one_by_one(make: Make) -> None:
    """Five readers of rows of 4 MB took 1.7 GB: 32 rows were fetched at once."""
    size = 2_000_000
    dataset = make((i, "x" * size) for i in range(40))
    tracemalloc.start()
    assert sum(page.count(b"\n") for page in pages(scan(dataset))) == 40
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * size  # a row, its encodings, and the page


def test_small_rows_are_fetched_together(make: Make) -> None:
    first, *more = pages(scan(make((i, "x") for i in range(20_000))))
    assert len(first) >= PAGE
    assert sum(page.count(b"\n") for page in (first, *more)) == 20_000


def test_a_connection_keeps_few_pages(make: Make) -> None:
    """SQLite's own default is 2 MB for each connection."""
    with closing(connect(make([(1, "x")]).path)) as connection:
        assert connection.execute("PRAGMA cache_size").fetchone() == (-CACHE,)
