"""Keys of a SQLite table or view: the columns that can be one, and how they are compared."""

import sqlite3
from dataclasses import dataclass

from eddyline_records.sources.base import Misconfigured
from eddyline_records.sources.sqlite.tables.table import Column, Table, quoted
from eddyline_records.sources.sqlite.tables.values import BLOB, NUMBER, ROWID, SEVERAL, TEXT

_CLASSES = {"integer": NUMBER, "real": NUMBER, "text": TEXT, "blob": BLOB}

_KEYS = (
    "a key is the INTEGER PRIMARY KEY, the rowid, or columns that are NOT NULL and together have a"
    " unique index of their own, without expression and WHERE"
)


@dataclass(frozen=True, slots=True)
class TableKey:
    """`names`: its columns in SQL. `sorted`: the same, with the collation by which they are unique:
    it may differ from a column's own.

    `declared`: nothing but the configuration says that it is unique, and never null.
    """

    columns: tuple[str, ...]
    names: tuple[str, ...]
    sorted: tuple[str, ...]
    type: str
    nullable: bool = False
    declared: bool = False

    @property
    def rowid(self) -> tuple[str, ...] | None:
        """The column that is the rowid, if any."""
        return self.columns if self.type == ROWID else None


def find_key(connection: sqlite3.Connection, table: Table, key: tuple[str, ...]) -> TableKey:
    """The key of a table; raises Misconfigured where the columns `key` cannot be it."""
    if key == ("rowid",) and table.column("rowid") is None and table.has_rowid:
        return TableKey(("rowid",), ("t.rowid",), ("t.rowid",), ROWID)
    columns = [_column(table, name) for name in key]
    if table.alias_of_rowid is not None and columns == [table.alias_of_rowid]:
        name = _name(columns[0].name)
        return TableKey((columns[0].name,), (name,), (name,), ROWID)
    if connection.execute("PRAGMA encoding").fetchone() != ("UTF-8",):
        raise Misconfigured(
            f"{_words(columns)} of {table.name!r} is no key: the texts of this database are UTF-16,"
            f" and so only the INTEGER PRIMARY KEY can be compared exactly"
        )
    if table.is_view:
        return _declared(connection, table, columns)
    if len(columns) == 1:
        return _of_one(connection, table, columns[0])
    return _of_several(connection, table, columns)


def _of_one(connection: sqlite3.Connection, table: Table, column: Column) -> TableKey:
    for parts in table.unique_indexes(connection):
        if [part.column for part in parts] == [column.name] and (column.notnull or column.primary):
            by = f"{_name(column.name)} COLLATE {quoted(parts[0].collation)}"
            stored = _stored_type(connection, table, column, by)
            nullable = not column.notnull
            return TableKey((column.name,), (_name(column.name),), (by,), stored, nullable)
    raise _no_key(table, [column])


def _of_several(connection: sqlite3.Connection, table: Table, columns: list[Column]) -> TableKey:
    """In the order of their index. A COLLATE would keep SQLite from seeking by all of them."""
    if not all(column.notnull for column in columns):
        raise _no_key(table, columns)
    for parts in table.unique_indexes(connection):
        names = [part.column for part in parts]
        if sorted(map(str, names)) != sorted(column.name for column in columns):
            continue
        found = tuple(_column(table, str(name)) for name in names)
        own = [table.collation(connection, column) for column in found]
        if (
            own == [part.collation for part in parts]
            and len({part.descending for part in parts}) == 1
        ):
            expressions = tuple(_name(column.name) for column in found)
            return TableKey(tuple(c.name for c in found), expressions, expressions, SEVERAL)
    raise _no_key(table, columns)


def _declared(connection: sqlite3.Connection, table: Table, columns: list[Column]) -> TableKey:
    names = tuple(_name(column.name) for column in columns)
    by = tuple(f"{name} COLLATE BINARY" for name in names)
    single = len(columns) == 1
    stored = _stored_type(connection, table, columns[0], by[0]) if single else SEVERAL
    return TableKey(tuple(c.name for c in columns), names, by, stored, True, True)


def _column(table: Table, name: str) -> Column:
    column = table.column(name)
    if column is None:
        known = ", ".join(column.name for column in table.columns)
        raise Misconfigured(f"{table.name!r} has no column {name!r}: there are {known}")
    return column


def _no_key(table: Table, columns: list[Column]) -> Misconfigured:
    return Misconfigured(f"{_words(columns)} of {table.name!r} is no key: {_KEYS}")


def _words(columns: list[Column]) -> str:
    names = ", ".join(repr(column.name) for column in columns)
    return f"the column {names}" if len(columns) == 1 else f"the columns {names}"


def _name(column: str) -> str:
    # Qualified: SQLite takes an unknown `"x"` alone for the text 'x'.
    return f"t.{quoted(column)}"


def _stored_type(connection: sqlite3.Connection, table: Table, column: Column, by: str) -> str:
    """The type of the least and of the greatest key: numbers sort before texts, those before blobs.

    A null is the least: SQLite lets it be in a primary key.
    """
    ends: list[str] = []
    for direction in ("ASC", "DESC"):
        ends += (
            connection.execute(
                f"SELECT typeof({_name(column.name)}) FROM main.{quoted(table.name)} AS t"
                f" ORDER BY {by} {direction} LIMIT 1"
            ).fetchone()
            or ()
        )
    if "null" in ends:
        raise Misconfigured(
            f"the column {column.name!r} of {table.name!r} is no key: it is null in some row"
        )
    if not ends:
        return _declared_type(column.type.upper())
    least, greatest = (_CLASSES[end] for end in ends)
    return least if least == greatest else f"{least} to {greatest}"


def _declared_type(declared: str) -> str:
    """The type of values that an empty table is to have: its affinity (datatype3.html, 3.1)."""
    if any(word in declared for word in ("CHAR", "CLOB", "TEXT")) and "INT" not in declared:
        return TEXT
    none = declared in ("", "ANY") or ("BLOB" in declared and "INT" not in declared)
    return f"{NUMBER} to {BLOB}" if none else NUMBER
