"""Conditions: the oracle is Python's own comparison of the rows of the table, read at once."""

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

from eddyline.errors import BadRequest
from eddyline_records.formats.json import ndjson
from eddyline_records.sources.base import Condition, Selection
from eddyline_records.sources.sqlite.scan import Policy
from eddyline_records.sources.sqlite.source import SqliteSource
from eddyline_records.sources.sqlite.tables.filters import after_prefix

COLUMNS = ("id", "n", "s")
RELAXED = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))

NUMBERS = st.integers(-3, 3) | st.floats(-2, 2).map(lambda number: round(number, 1))
TEXTS = st.text("aAb\u07ff\ud7ff\ue000\U0010ffff", max_size=3)
#: Any value may be in any column.
CELLS = st.none() | NUMBERS | TEXTS | st.binary(max_size=2)


@contextmanager
def dataset(rows: Any, indexed: bool) -> Iterator[SqliteSource]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "t.db"
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n NUMERIC, s TEXT, x)")
            if indexed:
                connection.executescript("CREATE INDEX n ON t(n); CREATE INDEX s ON t(s, n)")
            connection.executemany("INSERT INTO t(n, s) VALUES (?, ?)", rows)
        yield SqliteSource("things", path, "t", ("id",), Policy(where_any=True))


def found(source: SqliteSource, *where: Condition, **options: Any) -> list[Any]:
    scan = source.scan(source._read_schema(), Selection(COLUMNS, where=where, **options))
    pages = scan.pages(ndjson(COLUMNS))
    return [orjson.loads(line)["id"] for page in pages for line in page.splitlines()]


def stored(source: SqliteSource) -> list[Any]:
    with closing(sqlite3.connect(source.path)) as connection:
        return connection.execute("SELECT id, n, s FROM t ORDER BY id").fetchall()


def meets(value: Any, op: str, texts: list[str], kind: type) -> bool:
    """As the guide has it: values of another type are unequal, and neither less nor greater."""
    if op == "null":
        return (value is None) == (texts == ["1"])
    if value is None:
        return False
    wanted = [kind(text) for text in texts]
    of_kind = isinstance(value, str if kind is str else (int, float))
    if op == "ne":
        return not of_kind or value != wanted[0]
    if not of_kind:
        return False
    return {
        "eq": value == wanted[0],
        "lt": value < wanted[0],
        "lte": value <= wanted[0],
        "gt": value > wanted[0],
        "gte": value >= wanted[0],
        "in": value in wanted,
        "prefix": kind is str and str(value).startswith(str(wanted[0])),
    }[op]


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    column = draw(st.sampled_from("ns"))
    ops = ["eq", "ne", "lt", "lte", "gt", "gte", "in", "null"] + ["prefix"] * (column == "s")
    op = draw(st.sampled_from(ops))
    if op == "null":
        return Condition(column, op, draw(st.sampled_from("01")))
    values = (NUMBERS if column == "n" else TEXTS).map(str)
    if op == "in":
        return Condition(column, op, ",".join(draw(st.lists(values, min_size=1, max_size=3))))
    return Condition(column, op, draw(values))  # type: ignore[arg-type]


@RELAXED
@given(
    st.lists(st.tuples(CELLS, CELLS), max_size=20),
    st.lists(conditions(), min_size=1, max_size=2),
    st.booleans(),
    st.booleans(),
    st.integers(0, 3),
)
def test_conditions_find_the_rows_that_meet_them(
    rows: Any, where: list[Condition], indexed: bool, descending: bool, rare: int
) -> None:
    page = mock.patch("eddyline_records.sources.sqlite.page.PAGE", 40)
    few = mock.patch("eddyline_records.sources.sqlite.scan.RARE", rare)
    with dataset(rows, indexed) as source, page, few:
        expected = [
            id
            for id, n, s in stored(source)
            if all(
                meets(
                    n if c.column == "n" else s, c.op, c.texts(), float if c.column == "n" else str
                )
                for c in where
            )
        ]
        if descending:
            expected.reverse()
        assert found(source, *where, descending=descending) == expected


async def test_a_count_is_of_the_rows_that_meet_the_conditions() -> None:
    with dataset([(n, "x") for n in range(10)], True) as source:
        schema = await source.schema()
        selection = Selection(COLUMNS, (2,), where=(Condition("n", "gte", "4"),))
        assert await source.count(schema, selection, exact=True) == 6
        assert await source.count(schema, selection, exact=False) is None
        assert await source.count(schema, Selection(COLUMNS), exact=False) == 10


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (Condition("n", "gte", "abc"), r"where\[n\]\[gte\]='abc': 'abc' is no number"),
        (Condition("n", "eq", ""), "'' is no number"),
        (Condition("n", "in", "1,x"), "'x' is no number"),
        (Condition("n", "prefix", "1"), "only a column of texts has prefixes"),
        (Condition("n", "null", "yes"), "it is 1 for null, and 0 for all others"),
    ],
)
def test_a_value_that_its_column_cannot_have_is_named(condition: Condition, words: str) -> None:
    with dataset([], True) as source, pytest.raises(BadRequest, match=words):
        found(source, condition)


@pytest.mark.parametrize(
    ("any_column", "filters"), [(False, ("id", "n", "s")), (True, ("id", "n", "s", "w"))]
)
def test_conditions_name_columns_with_an_index_unless_all_are_allowed(
    any_column: bool, filters: tuple[str, ...]
) -> None:
    """A column without a type holds any value: no text tells which is meant."""
    with dataset([], True) as source:
        with closing(sqlite3.connect(source.path)) as connection:
            connection.executescript(
                "ALTER TABLE t ADD COLUMN w INT; CREATE INDEX x ON t(x);"
                "CREATE INDEX part ON t(w) WHERE w > 1; CREATE INDEX behind ON t(n, w)"
            )
        policy = Policy(where_any=any_column)
        found = SqliteSource("things", source.path, "t", ("id",), policy)._read_schema()
        assert found.filters == filters


def test_texts_of_utf_16_take_no_conditions(tmp_path: Path) -> None:
    """Their order is that of the bytes of UTF-16: a range of a prefix would miss rows."""
    path = tmp_path / "t.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "PRAGMA encoding = 'UTF-16'; CREATE TABLE t(id INTEGER PRIMARY KEY, n INT, s TEXT)"
        )
    source = SqliteSource("things", path, "t", ("id",), Policy(where_any=True))
    assert source._read_schema().filters == ("id", "n")


def test_rows_that_many_conditions_meet_are_found_in_the_order_of_the_key() -> None:
    """By the other index each page would sort all of them: a table of a million took minutes."""
    with dataset([(1, "x")] * 3000, True) as source:
        schema = source._read_schema()
        condition = (Condition("n", "eq", "1"),)
        scan = source.scan(schema, Selection(COLUMNS, where=condition))
        next(scan.pages(ndjson(COLUMNS)))
        statement = scan._query.rows((5,), (3000,), -1)
        with closing(sqlite3.connect(source.path)) as connection:
            plan = str(
                connection.execute(
                    f"EXPLAIN QUERY PLAN {statement.sql}", statement.values
                ).fetchall()
            )
        assert "TEMP B-TREE" not in plan
        assert "INTEGER PRIMARY KEY" in plan


@given(TEXTS, TEXTS)
def test_the_text_after_a_prefix_is_the_least_one(prefix: str, text: str) -> None:
    end = after_prefix(prefix)
    begins = text.startswith(prefix)
    assert begins == (prefix <= text and (not end or text < end))


@pytest.mark.parametrize(
    ("prefix", "end"),
    [
        ("a", "b"),
        ("", ""),
        ("a\ud7ff", "a\ue000"),  # RFC 3629 section 3: no text has a code point between
        ("a\U0010ffff", "b"),
        ("\U0010ffff\U0010ffff", ""),
    ],
)
def test_the_text_after_some_prefixes(prefix: str, end: str) -> None:
    assert after_prefix(prefix) == end


SHARDED = [
    ("CREATE TABLE t(id INTEGER PRIMARY KEY, n, s)", ("id",)),
    ("CREATE TABLE t(id NOT NULL UNIQUE, n, s)", ("id",)),
    ("CREATE TABLE t(id NOT NULL, n, s, PRIMARY KEY(id, n)) WITHOUT ROWID", ("id", "n")),
    ("CREATE TABLE t(id, n, s)", ("rowid",)),
]


@RELAXED
@given(
    st.sampled_from(SHARDED),
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 50), max_size=30, unique=True),
    st.integers(1, 12),
)
async def test_shards_are_the_table_together(sharded: Any, ids: list[int], shards: int) -> None:
    ddl, key = sharded
    with TemporaryDirectory() as folder:
        path = Path(folder) / "t.db"
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(ddl)
            connection.executemany("INSERT INTO t VALUES (?, 0, 0)", [(id,) for id in ids])
        source = SqliteSource("things", path, "t", key)
        schema = await source.schema()
        keys = await source.split(schema, shards)
        assert len(keys) <= shards
        parts = [
            found(source, after=after, until=until)
            for after, until in zip([None, *keys], keys, strict=False)
        ]
        whole = found(source)
        assert [id for part in parts for id in part] == whole
        if key == ("id",) and "NOT NULL" in ddl and whole:
            assert max(map(len, parts)) <= len(whole) // shards + 1
