"""Keys of several columns, rowids and views: the oracle is the table itself, read at once."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eddyline.errors import Unavailable
from eddyline_records.bodies.framed import FramedBody
from eddyline_records.cursor import Cursors, Place, Question
from eddyline_records.formats.base import Options
from eddyline_records.formats.json import framed_lines, ndjson
from eddyline_records.sources.base import BadValue, Misconfigured, Schema, Selection
from eddyline_records.sources.sqlite.scan import Policy, SqliteScan
from eddyline_records.sources.sqlite.source import SqliteSource

#: Tables `t` of the columns a, b and v; the key; and the order that it has.
SERVED = [
    ("CREATE TABLE t(a, b, v, PRIMARY KEY(a, b)) WITHOUT ROWID", ("a", "b"), "a, b"),
    ("CREATE TABLE t(a, b, v, PRIMARY KEY(b, a)) WITHOUT ROWID", ("a", "b"), "b, a"),
    ("CREATE TABLE t(a NOT NULL, b NOT NULL, v, UNIQUE(a, b))", ("b", "a"), "a, b"),
    ("CREATE TABLE t(a INT NOT NULL, b TEXT NOT NULL, v, UNIQUE(a, b))", ("a", "b"), "a, b"),
    (
        "CREATE TABLE t(a TEXT NOT NULL COLLATE NOCASE, b NOT NULL, v, UNIQUE(a, b))",
        ("a", "b"),
        "a, b",
    ),
    (
        "CREATE TABLE t(a NOT NULL, b NOT NULL, v);CREATE UNIQUE INDEX u ON t(a DESC, b DESC)",
        ("a", "b"),
        "a, b",
    ),
    ("CREATE TABLE t(a, b, v, PRIMARY KEY(a, b, v)) WITHOUT ROWID", ("a", "b", "v"), "a, b, v"),
    ("CREATE TABLE t(a, b, v)", ("rowid",), "rowid"),
    (
        "CREATE TABLE s(a NOT NULL, b NOT NULL, v, UNIQUE(a, b));"
        "CREATE VIEW t AS SELECT a, b, v FROM s;"
        "CREATE TRIGGER i INSTEAD OF INSERT ON t"
        " BEGIN INSERT OR IGNORE INTO s VALUES (NEW.a, NEW.b, NEW.v); END",
        ("a", "b"),
        "a, b",
    ),
]

REFUSED = [
    ("CREATE TABLE t(a, b, v, PRIMARY KEY(a, b))", ("a", "b")),  # SQLite lets null in
    ("CREATE TABLE t(a NOT NULL, b, v, UNIQUE(a, b))", ("a", "b")),
    ("CREATE TABLE t(a NOT NULL, b NOT NULL, v, UNIQUE(a, b, v))", ("a", "b")),
    ("CREATE TABLE t(a NOT NULL, b NOT NULL, v); CREATE INDEX u ON t(a, b)", ("a", "b")),
    (
        "CREATE TABLE t(a NOT NULL, b NOT NULL, v); CREATE UNIQUE INDEX u ON t(a, b DESC)",
        ("a", "b"),
    ),
    (
        "CREATE TABLE t(a NOT NULL COLLATE NOCASE, b NOT NULL, v);"
        "CREATE UNIQUE INDEX u ON t(a COLLATE BINARY, b)",
        ("a", "b"),
    ),
    (
        "CREATE TABLE t(a NOT NULL, b NOT NULL, v); CREATE UNIQUE INDEX u ON t(a, b) WHERE v",
        ("a", "b"),
    ),
    ("CREATE TABLE t(a, b, v, PRIMARY KEY(a, b)) WITHOUT ROWID", ("rowid",)),
    ("CREATE VIEW t AS SELECT 1 AS a, 2 AS b, 3 AS v", ("rowid",)),
    ("CREATE VIEW t AS SELECT 1 AS a, 2 AS b, 3 AS v", ("c",)),
]

COLUMNS = ("a", "b", "v")
CURSORS = Cursors(b"secret")
VALUES = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 3),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=3) | st.sampled_from(["a", "A", "a ", "1"]),
    st.binary(max_size=3),
)
RELAXED = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@contextmanager
def dataset(
    ddl: str, key: tuple[str, ...], rows: Any = (), policy: Policy | None = None
) -> Iterator[SqliteSource]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "t.db"
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.executescript(ddl)
            if rows:
                connection.executemany("INSERT OR IGNORE INTO t(a, b, v) VALUES (?, ?, ?)", rows)
        yield SqliteSource("things", path, "t", key, policy or Policy())


def table(source: SqliteSource, order: str) -> list[Any]:
    with closing(sqlite3.connect(source.path)) as connection:
        rows = connection.execute(f"SELECT a, b, v FROM t ORDER BY {order}").fetchall()
    return [orjson.loads(line) for line in ndjson(COLUMNS)(rows).splitlines()]


def asked(schema: Schema) -> Question:
    return Question("things", schema.version, COLUMNS)


def framed(source: SqliteSource, cursor: str | None = None, limit: int | None = None) -> bytes:
    schema = source._read_schema()
    question = asked(schema)
    place = CURSORS.place(question, cursor) if cursor else Place((), ())
    scan = source.scan(schema, Selection(COLUMNS, place.after or None, place.until or None, limit))

    def cursor_of(summary: Any) -> str | None:
        if summary.after is None or summary.until is None:
            return None
        return CURSORS.text(question, Place(summary.after, summary.until))

    encode = framed_lines(COLUMNS, Options())
    return b"".join(FramedBody(scan, encode, cursor_of).pages())


def received(data: bytes) -> tuple[list[Any], str | None]:
    """The rows up to the last cursor in the bytes that came, and that cursor."""
    rows: list[Any] = []
    sure, cursor = 0, None
    for line in map(orjson.loads, data[: data.rfind(b"\n") + 1].splitlines()):
        if "row" in line:
            rows.append(line["row"])
        if "cursor" in line:
            sure, cursor = len(rows), line["cursor"]
    return rows[:sure], cursor


@RELAXED
@given(st.sampled_from(SERVED), st.data())
def test_a_stream_that_is_cut_anywhere_and_gone_on_with_by_its_cursor_is_the_table(
    served: Any, data: st.DataObject
) -> None:
    ddl, key, order = served
    rows = data.draw(st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=30))
    page = mock.patch("eddyline_records.sources.sqlite.page.PAGE", data.draw(st.integers(1, 200)))
    with dataset(ddl, key, rows) as source, page:
        expected = table(source, order)
        whole = framed(source)
        assert received(whole)[0] == expected
        got, cursor = received(whole[: data.draw(st.integers(0, len(whole)))])
        assert got + received(framed(source, cursor))[0] == expected


@RELAXED
@given(st.sampled_from(SERVED), st.integers(1, 5), st.data())
def test_pages_of_a_limit_are_the_table_together(
    served: Any, limit: int, data: st.DataObject
) -> None:
    ddl, key, order = served
    rows = data.draw(st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=12))
    with dataset(ddl, key, rows) as source:
        schema = source._read_schema()
        got: list[Any] = []
        after = until = None
        while True:
            scan = source.scan(schema, Selection(COLUMNS, after, until, limit))
            page = [
                orjson.loads(line)
                for data in scan.pages(ndjson(COLUMNS))
                for line in data.splitlines()
            ]
            got += page
            told = scan.summary()
            if told.next is None:
                break
            assert len(page) == limit
            after, until = told.next, told.until
        assert got == table(source, order)


@pytest.mark.parametrize(("ddl", "key"), REFUSED)
def test_columns_that_are_no_key_are_refused_in_words(ddl: str, key: tuple[str, ...]) -> None:
    with dataset(ddl, key) as source, pytest.raises(Misconfigured, match="cannot be served"):
        source._read_schema()


def read(source: SqliteSource, **options: Any) -> tuple[list[Any], SqliteScan]:
    scan = source.scan(source._read_schema(), Selection(COLUMNS, **options))
    pages = list(scan.pages(ndjson(COLUMNS)))
    return [orjson.loads(line) for page in pages for line in page.splitlines()], scan


@pytest.mark.parametrize("page", [1, 10_000], ids=["at the end of a page", "within a page"])
def test_two_rows_of_a_view_with_one_key_are_an_error(
    page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but the configuration says that it is a key: a row was lost between two pages."""
    monkeypatch.setattr("eddyline_records.sources.sqlite.page.PAGE", page)
    ddl = "CREATE TABLE s(a, b, v); CREATE VIEW t AS SELECT * FROM s"
    insert = "; INSERT INTO s VALUES (1, 1, 1), (2, 1, 1), (2, 2, 2), (3, 1, 1)"
    with dataset(ddl + insert, ("a",)) as source:
        with pytest.raises(BadValue, match="two rows have the key '2'"):
            read(source)


def test_a_row_of_a_view_without_a_key_is_an_error() -> None:
    ddl = "CREATE TABLE s(a, b, v); CREATE VIEW t AS SELECT * FROM s"
    with dataset(ddl + "; INSERT INTO s VALUES (1, NULL, 1), (2, 1, 1)", ("a", "b")) as source:
        with pytest.raises(BadValue, match="a row has no 'a', 'b', which is the key"):
            read(source)


def test_a_page_of_several_columns_begins_by_a_seek() -> None:
    """With a COLLATE, SQLite walks from the first row of the table to each page."""
    ddl = "CREATE TABLE t(a NOT NULL, b NOT NULL, v, UNIQUE(a, b))"
    with dataset(ddl, ("a", "b")) as source:
        schema = source._read_schema()
        scan = source.scan(schema, Selection(COLUMNS))
        statement = scan._query.rows((1, 2), (3, 4), -1)
        with closing(sqlite3.connect(source.path)) as connection:
            plan = connection.execute(f"EXPLAIN QUERY PLAN {statement.sql}", statement.values)
            assert "SEARCH t USING INDEX sqlite_autoindex_t_1 ((a,b)>(?,?) AND" in str(
                plan.fetchall()
            )


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "UPDATE OR IGNORE t SET a = a + 7 WHERE a % 3 = ?",
                "DELETE FROM t WHERE a % 5 = ?",
                "INSERT OR IGNORE INTO t VALUES (? * 1000, 0, 'new')",
            ]
        ),
        st.integers(0, 4),
    ),
    max_size=4,
)


@RELAXED
@given(CHANGES, st.sampled_from(["DELETE", "WAL"]), st.booleans())
def test_rows_are_of_one_state_or_it_is_told(changes: Any, journal: str, snapshot: bool) -> None:
    """A row whose key was changed came twice, or never, with nothing that told it."""
    ddl = f"PRAGMA journal_mode = {journal}; CREATE TABLE t(a INTEGER PRIMARY KEY, b, v)"
    rows = [(a, a, "x" * 100) for a in range(60)]
    page = mock.patch("eddyline_records.sources.sqlite.page.PAGE", 1000)
    with dataset(ddl, ("a",), rows) as source, page:
        before = table(source, "a")
        seconds = 60.0 if snapshot and journal == "WAL" else None
        scan = source.scan(source._read_schema(), Selection(COLUMNS, snapshot=seconds))
        got: list[Any] = []
        written = False
        waiting = list(changes)
        for page_of in scan.pages(ndjson(COLUMNS)):
            got += map(orjson.loads, page_of.splitlines())
            if waiting:
                change, number = waiting.pop()
                with closing(sqlite3.connect(source.path)) as connection, connection:
                    written |= connection.execute(change, (number,)).rowcount > 0
        if scan.summary().moved:
            assert written
            assert seconds is None
        else:
            assert got == before


def test_where_keys_are_fixed_rows_that_are_written_meanwhile_are_no_fault() -> None:
    ddl = "CREATE TABLE t(a INTEGER PRIMARY KEY, b, v)"
    rows = [(a, a, "x" * 1000) for a in range(0, 400, 2)]
    with dataset(ddl, ("a",), rows, Policy(fixed_keys=True)) as source:
        scan = source.scan(source._read_schema(), Selection(COLUMNS))
        pages = scan.pages(ndjson(COLUMNS))
        next(pages)
        with closing(sqlite3.connect(source.path)) as connection, connection:
            connection.execute("INSERT INTO t VALUES (301, 0, 0)")
        assert b'"a":301' in b"".join(pages)
        assert (scan.summary().changed, scan.summary().moved) == (True, False)


def test_a_snapshot_ends_after_its_time_and_lets_the_log_go() -> None:
    ddl = "PRAGMA journal_mode = WAL; CREATE TABLE t(a INTEGER PRIMARY KEY, b, v)"
    rows = [(a, a, "x" * 1000) for a in range(400)]
    with dataset(ddl, ("a",), rows) as source, closing(sqlite3.connect(source.path)) as writer:
        scan = source.scan(source._read_schema(), Selection(COLUMNS, snapshot=0.05))
        pages = scan.pages(ndjson(COLUMNS))
        next(pages)
        writer.execute("INSERT INTO t VALUES (-1, 0, 0)")
        writer.commit()
        # Busy (1) while the snapshot needs the log; 0 once the timer has ended it.
        while writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            pass
        with pytest.raises(Unavailable, match=r"the snapshot has ended after 0\.05 s"):
            next(pages)


def test_two_rows_with_one_key_are_seen_at_the_end_of_a_fetch() -> None:
    ddl = "CREATE TABLE s(a, b, v); CREATE VIEW t AS SELECT * FROM s"
    # One row, then 32: the second row with the key 32 is the first of the next fetch.
    keys = [*range(33), 32, 33]
    inserts = "".join(f"; INSERT INTO s VALUES ({key}, 1, 1)" for key in keys)
    with dataset(ddl + inserts, ("a",)) as source:
        with pytest.raises(BadValue, match="two rows have the key '32'"):
            read(source)
