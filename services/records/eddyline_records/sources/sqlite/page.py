"""One page of rows, encoded."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from eddyline.errors import StreamingError
from eddyline_records.sources.base import BadValue, Encode, InvalidText, Key, Row
from eddyline_records.sources.sqlite.query import Query, Statement

#: Bytes that a page is to have at least.
PAGE = 64 * 1024

#: Rows that are fetched at once, where they are small: SQLite's own reading is a step for each.
FETCH = 32


class InvalidUtf8(str):
    """A text of a database that is not UTF-8, with U+FFFD in place of the bytes that are none."""

    __slots__ = ()


class _EqualKeys(BadValue):
    """Two rows have the key of one."""


@dataclass(slots=True)
class Page:
    """`after` is the key of the last row, `left` the rest of the limit, or -1.

    `failure`: the error of the row after them. `as_json`: SQLite makes the JSON of the rows, where
    the encoder takes it, until a row comes whose JSON it has not right.
    """

    query: Query
    encode: Encode
    invalid_text: InvalidText
    after: Key | None
    until: Key | None
    left: int
    as_json: bool = False
    replaced: int = 0
    failure: Exception | None = None
    data: bytearray = field(default_factory=bytearray)

    def read(self, connection: sqlite3.Connection) -> None:
        """Fills the page, to its size or to the last row."""
        try:
            if not self._read_objects(connection):
                self._read(connection, FETCH)
        except _EqualKeys as error:
            # Not read again: from the last key on, the second row of the two is never seen.
            if not self.data:
                raise
            self.failure = error
        except (sqlite3.Error, ValueError, TypeError, StreamingError) as error:
            if _is_of_the_database(error):
                raise
            self._read_carefully(connection)

    def _read_objects(self, connection: sqlite3.Connection) -> bool:
        """Whether the page is filled; the rest of it is still to be read otherwise."""
        objects = getattr(self.encode, "objects", None)
        if objects is None or not self.as_json:
            return False
        statement = self.query.objects(self.after, self.until, self.left)
        count = 1
        with closing(executed(connection, statement)) as cursor:
            while len(self.data) < PAGE and (rows := cursor.fetchmany(count)):
                texts = [row[0] for row in rows]
                if None in texts:
                    self.as_json = False
                    return False
                encoded = objects(texts)
                self._add(encoded, rows, tuple(rows[-1][1:]))
                count = max(1, min(FETCH, PAGE * len(rows) // max(1, len(encoded))))
        return True

    def _read(self, connection: sqlite3.Connection, most: int) -> None:
        statement = self.query.rows(self.after, self.until, self.left)
        # Rows of unknown size: one, then as many as are likely to fill the page.
        count = 1
        with closing(executed(connection, statement)) as cursor:
            while len(self.data) < PAGE and (rows := cursor.fetchmany(count)):
                if most == 1:
                    self.replaced += self._invalid(rows[0])
                if self.query.key.declared:
                    self._refuse_equal(rows)
                encoded = self.encode(rows)
                self._add(encoded, rows, self._key(rows[-1]))
                count = max(1, min(most, PAGE * len(rows) // max(1, len(encoded))))
            if self.query.key.declared and (rows := cursor.fetchmany(1)):
                # The next page begins after this key: an equal one would be lost.
                self._refuse_equal(rows)

    def _read_carefully(self, connection: sqlite3.Connection) -> None:
        """The rest of a page with a row that failed, row by row: it takes no other one with it."""
        try:
            with lenient(connection):
                self._read(connection, 1)
        except (sqlite3.Error, ValueError, TypeError, StreamingError) as error:
            if not self.data:
                raise
            self.failure = error

    def _add(self, encoded: bytes, rows: Sequence[Row], last: Key) -> None:
        self.data += encoded
        self.after = last
        self.left -= len(rows) if self.left > 0 else 0

    def _key(self, row: Row) -> Key:
        return tuple(row[len(self.query.columns) :])

    def _refuse_equal(self, rows: Sequence[Row]) -> None:
        last = self.after
        for row in rows:
            key = self._key(row)
            if key == last:
                raise _EqualKeys(f"two rows have the key {shown(key)}: it is no key of this view")
            last = key

    def _invalid(self, row: Row) -> int:
        """The number of values that are no valid text; raises BadValue where there may be none."""
        key = self._key(row)
        if not is_utf8(key):
            raise BadValue(
                f"the key {shown(key)} in {', '.join(map(repr, self.query.key.columns))} is not"
                " UTF-8: no client could go on after its row"
            )
        columns = zip(self.query.columns, row, strict=False)
        invalid = [column for column, value in columns if isinstance(value, InvalidUtf8)]
        if invalid and self.invalid_text == "error":
            raise BadValue(f"the row {shown(key)} has a text in {invalid[0]!r} that is not UTF-8")
        return len(invalid)


@contextmanager
def lenient(connection: sqlite3.Connection) -> Iterator[None]:
    """Texts that are not UTF-8 come as InvalidUtf8, instead of an error."""
    connection.text_factory = _decoded
    try:
        yield
    finally:
        connection.text_factory = str


def is_utf8(key: Key) -> bool:
    return not any(isinstance(part, InvalidUtf8) for part in key)


def executed(connection: sqlite3.Connection, statement: Statement) -> sqlite3.Cursor:
    return connection.execute(statement.sql, statement.values)


def shown(key: Key) -> str:
    """A key in the text of an error."""
    return ", ".join(repr(str(part)[:80]) for part in key)


def _is_of_the_database(error: Exception) -> bool:
    """Whether it is locked, or was interrupted: reading again would wait again."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_INTERRUPT)


def _decoded(data: bytes) -> Any:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return InvalidUtf8(data.decode(errors="replace"))
