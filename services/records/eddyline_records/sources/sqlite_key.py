"""Keys of a SQLite table: the columns that can be one, and their values as texts of a URL."""

import base64
import binascii
import math
import re
import sqlite3
from dataclasses import dataclass

from eddyline_records.sources.base import Key, Misconfigured

#: The type of an INTEGER PRIMARY KEY. Those of other keys are told by the values that are stored,
#: because a column of any type may hold any value (https://www.sqlite.org/datatype3.html).
ROWID = "INTEGER"
NUMBER = "number"
TEXT = "text"
BLOB = "blob in base64"

_CLASSES = {"integer": NUMBER, "real": NUMBER, "text": TEXT, "blob": BLOB}

_KEYS = (
    "a key is the INTEGER PRIMARY KEY, or one column that is NOT NULL and has a unique index of its"
    " own, without expression and WHERE"
)

_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_REAL = re.compile(r"-?(inf|(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?)")

#: Integers that SQLite can compare with an integer key.
_INTEGERS = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class TableKey:
    """`collation` is the one by which the column is unique: it may differ from the column's own."""

    column: str
    collation: str
    type: str


def find_key(connection: sqlite3.Connection, table: str, key: str) -> TableKey:
    """The key of a table; raises Misconfigured where the column `key` cannot be it."""
    columns = _columns(connection, table)
    column = _named(key, list(columns))
    if column is None:
        raise Misconfigured(f"{table!r} has no column {key!r}: there are {', '.join(columns)}")
    is_rowid, collation = _uniqueness(connection, table, column)
    if collation is None or not (columns[column][1] or columns[column][2]):
        raise Misconfigured(f"the column {column!r} of {table!r} is no key: {_KEYS}")
    if is_rowid:
        return TableKey(column, collation, ROWID)
    if connection.execute("PRAGMA encoding").fetchone() != ("UTF-8",):
        raise Misconfigured(
            f"the column {column!r} of {table!r} is no key: the texts of this database are UTF-16,"
            f" and so only the INTEGER PRIMARY KEY can be compared exactly"
        )
    return TableKey(column, collation, _stored_type(connection, table, column, collation, columns))


def key_of(key_type: str, text: str) -> Key:
    """The key that a text is; raises ValueError. It is compared as the stored values are: SQLite
    takes every text for greater than every number.
    """
    if key_type == TEXT:
        return text
    if key_type == BLOB:
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise ValueError(str(error)) from None
    if key_type in (ROWID, NUMBER) and _INTEGER.fullmatch(text):
        # int() of thousands of digits is slow.
        return _INTEGERS[_INTEGERS.index(int(text[:32]))]
    if key_type == NUMBER and _REAL.fullmatch(text):
        value = float(text)
        if math.isinf(value) and "inf" not in text:
            raise ValueError("it is too large")
        return value
    raise ValueError(f"it is no {key_type}")


def text_of(key_type: str, key: Key) -> str | None:
    """The text that `key_of` takes for the key; None where no text tells of which type it is."""
    if key_type not in (ROWID, NUMBER, TEXT, BLOB) or key is None:
        return None
    if isinstance(key, bytes):
        return base64.b64encode(key).decode() if key_type == BLOB else None
    return str(key) if isinstance(key, str) == (key_type == TEXT) else None


def quoted(name: str) -> str:
    """An identifier of SQL. Qualify it: SQLite takes an unknown `"x"` alone for the text 'x'."""
    return '"' + name.replace('"', '""') + '"'


def _columns(connection: sqlite3.Connection, table: str) -> dict[str, tuple[str, int, int]]:
    """The declared type, NOT NULL, and place in the primary key of each column."""
    found = connection.execute(
        "SELECT type, rootpage FROM main.sqlite_master"
        " WHERE name = ? COLLATE NOCASE AND type IN ('table', 'view')",
        (table,),
    ).fetchone()
    if found is None:
        raise Misconfigured(f"there is no table {table!r}")
    if not found[1]:
        kind = "view" if found[0] == "view" else "virtual table"
        raise Misconfigured(f"{table!r} is a {kind}, of which no column is known to be unique")
    rows = connection.execute(
        'SELECT name, type, "notnull", pk FROM pragma_table_xinfo(?) WHERE hidden <> 1', (table,)
    )
    return {name: (declared, notnull, pk) for name, declared, notnull, pk in rows}


def columns_of(connection: sqlite3.Connection, table: str) -> tuple[str, ...]:
    """All columns, with those that are generated."""
    return tuple(_columns(connection, table))


def _named(name: str, columns: list[str]) -> str | None:
    """The column as it is declared: SQLite's names are the same in capitals."""
    if name in columns:
        return name
    return next((column for column in columns if column.lower() == name.lower()), None)


def _uniqueness(connection: sqlite3.Connection, table: str, column: str) -> tuple[bool, str | None]:
    """Whether the column is the rowid, and the collation by which it is unique."""
    indexes = connection.execute(
        'SELECT name, origin, "unique" AND NOT partial FROM pragma_index_list(?)', (table,)
    ).fetchall()
    primary = connection.execute(
        "SELECT name FROM pragma_table_xinfo(?) WHERE pk", (table,)
    ).fetchall()
    # Only an alias of the rowid is a primary key without an index.
    if primary == [(column,)] and all(origin != "pk" for _, origin, _ in indexes):
        return True, "BINARY"
    for index, _, whole in indexes:
        parts = connection.execute(
            "SELECT cid >= 0, name, coll FROM pragma_index_xinfo(?) WHERE key", (index,)
        ).fetchall()
        if whole and len(parts) == 1 and parts[0][:2] == (1, column):
            return False, parts[0][2]
    return False, None


def _stored_type(
    connection: sqlite3.Connection,
    table: str,
    column: str,
    collation: str,
    columns: dict[str, tuple[str, int, int]],
) -> str:
    """The type of the least and of the greatest key: numbers sort before texts, those before blobs.

    A null is the least: SQLite lets it be in a primary key.
    """
    name = f"t.{quoted(column)}"
    ends: list[str] = []
    for direction in ("ASC", "DESC"):
        ends += (
            connection.execute(
                f"SELECT typeof({name}) FROM main.{quoted(table)} AS t"
                f" ORDER BY {name} COLLATE {quoted(collation)} {direction} LIMIT 1"
            ).fetchone()
            or ()
        )
    if "null" in ends:
        raise Misconfigured(f"the column {column!r} of {table!r} is no key: it is null in some row")
    if not ends:
        return _declared_type(columns[column][0].upper())
    least, greatest = (_CLASSES[end] for end in ends)
    return least if least == greatest else f"{least} to {greatest}"


def _declared_type(declared: str) -> str:
    """The type of values that an empty table is to have: its affinity (datatype3.html, 3.1)."""
    if any(word in declared for word in ("CHAR", "CLOB", "TEXT")) and "INT" not in declared:
        return TEXT
    none = declared in ("", "ANY") or ("BLOB" in declared and "INT" not in declared)
    return f"{NUMBER} to {BLOB}" if none else NUMBER
