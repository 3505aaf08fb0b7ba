import sqlite3
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import orjson
import pytest

from eddyline_records.formats import ndjson
from eddyline_records.sources.base import Schema
from eddyline_records.sources.sqlite import SqliteSource
from eddyline_records.sources.sqlite_scan import CACHE, FETCH, PAGE, SqliteScan, connect

Make = Callable[..., SqliteSource]


def scan(
    source: SqliteSource,
    columns: tuple[str, ...] = ("id", "name"),
    after: int | None = None,
    limit: int | None = None,
) -> SqliteScan:
    return source.scan(Schema(columns, source.key, "INTEGER"), columns, after, limit)


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


def test_a_row_that_fails_raises_after_the_pages_before_it(make: Make) -> None:
    values = [(i, "x" * 100) for i in range(2000)]
    dataset = make([*values, (2000, b"\xff a blob")])
    got: list[bytes] = []
    with pytest.raises(TypeError):
        got.extend(pages(scan(dataset)))
    assert 1000 < b"".join(got).count(b"\n") <= 2000


def test_a_text_that_is_not_utf8_raises(make: Make) -> None:
    dataset = make([(1, "x")])
    with closing(sqlite3.connect(dataset.path)) as connection, connection:
        connection.execute("UPDATE things SET name = CAST(x'ff' AS TEXT)")
    with pytest.raises(sqlite3.OperationalError, match="UTF-8"):
        list(pages(scan(dataset)))


def test_a_row_without_a_key_raises(make: Make) -> None:
    dataset = make([(None, "x"), (None, "y")], "id TEXT PRIMARY KEY, name TEXT")
    with pytest.raises(ValueError, match="has no key"):
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
    with pytest.raises(sqlite3.Error):
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
        except sqlite3.OperationalError as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        endless.interrupt()
        thread.join(0.01)
    assert str(outcome[0]) == "interrupted"


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
