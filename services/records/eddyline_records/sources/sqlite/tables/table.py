"""A table or view of SQLite as its database describes it."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from eddyline_records.sources.base import Misconfigured


@dataclass(frozen=True, slots=True)
class Column:
    """`type`: as it is declared, which binds no value. `primary`: a part of the primary key."""

    name: str
    type: str
    notnull: bool
    primary: bool


@dataclass(frozen=True, slots=True)
class Part:
    """A column of an index; None where the index has an expression in its place."""

    column: str | None
    collation: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Table:
    """`alias_of_rowid`: the INTEGER PRIMARY KEY, if any. `is_stored`: all columns have the values
    that were stored, and no expression has a part in them.
    """

    name: str
    columns: tuple[Column, ...]
    is_view: bool
    has_rowid: bool
    alias_of_rowid: Column | None
    is_stored: bool

    def column(self, name: str) -> Column | None:
        """The column as it is declared: SQLite's names are the same in capitals."""
        exact = (column for column in self.columns if column.name == name)
        alike = (column for column in self.columns if column.name.lower() == name.lower())
        return next(exact, next(alike, None))

    def unique_indexes(self, connection: sqlite3.Connection) -> Iterator[list[Part]]:
        """The parts of each index that is unique for all rows."""
        for index, whole in connection.execute(
            'SELECT name, "unique" AND NOT partial FROM pragma_index_list(?)', (self.name,)
        ).fetchall():
            parts = connection.execute(
                'SELECT name, coll, "desc" FROM pragma_index_xinfo(?) WHERE key', (index,)
            ).fetchall()
            if whole:
                yield [Part(name, collation, bool(desc)) for name, collation, desc in parts]

    def indexed(self, connection: sqlite3.Connection) -> set[str]:
        """The columns by which rows can be found without reading all of them."""
        if self.is_view:
            return set()
        found = connection.execute(
            "SELECT i.name FROM pragma_index_list(?) AS l, pragma_index_xinfo(l.name) AS i"
            " WHERE i.seqno = 0 AND i.name NOT NULL AND NOT l.partial",
            (self.name,),
        )
        alias = {self.alias_of_rowid.name} if self.alias_of_rowid else set()
        return {name for (name,) in found} | alias

    def collation(self, connection: sqlite3.Connection, column: Column) -> str:
        """The column's own: no PRAGMA tells it, but a comparison does."""
        name = quoted(column.name)
        capitals, space = connection.execute(
            "SELECT k = 'A', k = 'a ' FROM"
            f" (SELECT {name} AS k FROM main.{quoted(self.name)} WHERE 0 UNION ALL SELECT 'a')"
        ).fetchone()
        return "NOCASE" if capitals else "RTRIM" if space else "BINARY"


def read_table(connection: sqlite3.Connection, name: str) -> Table:
    """Raises Misconfigured where there is none, or one that is no table of rows."""
    found = connection.execute(
        "SELECT name, type, rootpage FROM main.sqlite_master"
        " WHERE name = ? COLLATE NOCASE AND type IN ('table', 'view')",
        (name,),
    ).fetchone()
    if found is None:
        raise Misconfigured(f"there is no table {name!r}")
    if found[1] == "table" and not found[2]:
        raise Misconfigured(
            f"{name!r} is a virtual table, of which no column is known to be unique"
        )
    return _described(connection, found[0], found[1] == "view")


def quoted(name: str) -> str:
    """An identifier of SQL. Qualify it: SQLite takes an unknown `"x"` alone for the text 'x'."""
    return '"' + name.replace('"', '""') + '"'


def _described(connection: sqlite3.Connection, name: str, is_view: bool) -> Table:
    [without_rowid] = connection.execute(
        "SELECT wr FROM pragma_table_list(?) WHERE schema = 'main'", (name,)
    ).fetchone()
    rows = connection.execute(
        'SELECT name, type, "notnull", pk, hidden FROM pragma_table_xinfo(?) WHERE hidden <> 1',
        (name,),
    ).fetchall()
    columns = tuple(
        Column(name, declared, bool(notnull or (pk and without_rowid)), bool(pk))
        for name, declared, notnull, pk, _ in rows
    )
    has_rowid = not (is_view or without_rowid)
    primary = [column for column in columns if column.primary]
    # Only an alias of the rowid is a primary key without an index.
    indexed = connection.execute(
        "SELECT 1 FROM pragma_index_list(?) WHERE origin = 'pk'", (name,)
    ).fetchone()
    alias = primary[0] if has_rowid and len(primary) == 1 and not indexed else None
    is_stored = not is_view and not any(hidden for *_, hidden in rows)
    return Table(name, columns, is_view, has_rowid, alias, is_stored)
