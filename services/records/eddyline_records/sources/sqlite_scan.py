"""One pass over a table of SQLite, in pages: no lock is held while a client is slow."""

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from eddyline.errors import StreamingError, Unavailable
from eddyline_records.sources.base import BadValue, Encode, InvalidText, Key, Row, Summary
from eddyline_records.sources.sqlite_key import TableKey, quoted, text_of
from eddyline_records.sources.sqlite_watch import Watch

#: Bytes that a page is to have at least.
PAGE = 64 * 1024

#: Rows that are fetched at once, where they are small: SQLite's own reading is a step for each.
FETCH = 32

#: KiB of pages that a connection keeps; SQLite would keep 2,000. A scan reads each page once.
CACHE = 256

_log = logging.getLogger("eddyline.records")


def connect(path: Path) -> sqlite3.Connection:
    """Read-only; for one thread at a time, whichever it is."""
    address = f"file:{quote(str(path))}?mode=ro"
    connection = sqlite3.connect(address, uri=True, check_same_thread=False, isolation_level=None)
    connection.execute(f"PRAGMA cache_size = -{CACHE}")
    return connection


@dataclass(frozen=True, slots=True)
class Query:
    """Rows of a table in the order of its key. The key comes last in each row."""

    table: str
    key: TableKey
    columns: tuple[str, ...]

    def sql(self, *, after: bool) -> str:
        """Rows after a key, or from the first. Parameters: `after`, `limit`.

        Order and comparison name the collation by which the key is unique: by another one, rows
        would be equal, and all but one of them be lost between two pages.
        """
        wanted = ", ".join(f"t.{quoted(name)}" for name in (*self.columns, self.key.column))
        key = f"t.{quoted(self.key.column)} COLLATE {quoted(self.key.collation)}"
        where = f"WHERE {key} > :after " if after else ""
        table = f"main.{quoted(self.table)} AS t"
        return f"SELECT {wanted} FROM {table} {where}ORDER BY {key} LIMIT :limit"


class _Invalid(str):
    """A text of a database that is not UTF-8, with U+FFFD in place of the bytes that are none."""

    __slots__ = ()


@dataclass(slots=True)
class _Page:
    """The rows of a page, encoded; `after` is the key of the last, `left` the rest of the limit."""

    after: Key | None
    left: int
    replaced: int = 0
    data: bytearray = field(default_factory=bytearray)

    def add(self, encoded: bytes, rows: Sequence[Row]) -> None:
        self.data += encoded
        self.after = rows[-1][-1]
        self.left -= len(rows) if self.left > 0 else 0


class SqliteScan:
    """Rows in the order of the key: those after `after`, `limit` of them or all.

    Each page is a query of its own, from the last key on. Rows that are written meanwhile are seen
    if they come later; a table that becomes another one is an error.
    """

    def __init__(
        self,
        name: str,
        query: Query,
        watch: Watch,
        invalid_text: InvalidText,
        after: Key | None,
        limit: int | None,
    ) -> None:
        self._name = name
        self._query = query
        self._watch = watch
        self._invalid_text = invalid_text
        self._page = _Page(after, -1 if limit is None else limit)
        self._replaced = 0
        self._failure: Exception | None = None
        self._connection: sqlite3.Connection | None = None

    def pages(self, encode: Encode) -> Iterator[bytes]:
        try:
            with closing(connect(self._watch.path)) as connection:
                self._connection = connection
                while self._failure is None and (page := self._next(connection, encode)):
                    yield page
                if self._failure is not None:
                    raise self._failure
        except sqlite3.Error as error:
            _log.error("dataset %r cannot be read: %s", self._name, error)
            raise Unavailable(
                f"the dataset {self._name!r} cannot be read now: the log has the cause"
            ) from error
        finally:
            self._connection = None

    def summary(self) -> Summary:
        cursor = text_of(self._query.key.type, self._page.after)
        return Summary(cursor, self._watch.changed, self._replaced)

    def interrupt(self) -> None:
        """Ends the query that runs, if any."""
        connection = self._connection
        if connection is not None:
            with suppress(sqlite3.ProgrammingError):  # closed since
                connection.interrupt()

    def _next(self, connection: sqlite3.Connection, encode: Encode) -> bytes:
        page = _Page(self._page.after, self._page.left)
        with _transaction(connection):
            self._watch.enter(connection)
            try:
                self._read(connection, encode, page, FETCH)
            except (sqlite3.Error, ValueError, TypeError, StreamingError) as error:
                if _is_of_the_database(error):
                    raise
                self._read_carefully(connection, encode, page)
            self._watch.leave()
        self._page = page
        self._replaced += page.replaced
        return bytes(page.data)

    def _read(self, connection: sqlite3.Connection, encode: Encode, page: _Page, most: int) -> None:
        text = self._query.sql(after=page.after is not None)
        # Rows of unknown size: one, then as many as are likely to fill the page.
        count = 1
        with closing(connection.execute(text, {"after": page.after, "limit": page.left})) as cursor:
            while len(page.data) < PAGE and (rows := cursor.fetchmany(count)):
                if rows[-1][-1] is None:
                    # SQLite lets it be in a primary key; the next page would be the first again.
                    raise BadValue(f"a row has no {self._query.key.column!r}, which is the key")
                if most == 1:
                    page.replaced += self._invalid(rows[0])
                encoded = encode(rows)
                page.add(encoded, rows)
                count = max(1, min(most, PAGE * len(rows) // max(1, len(encoded))))

    def _read_carefully(self, connection: sqlite3.Connection, encode: Encode, page: _Page) -> None:
        """The rest of a page with a row that failed, row by row: it takes no other one with it."""
        connection.text_factory = _decoded
        try:
            self._read(connection, encode, page, 1)
        except (sqlite3.Error, ValueError, TypeError, StreamingError) as error:
            if not page.data:
                raise
            self._failure = error
        finally:
            connection.text_factory = str

    def _invalid(self, row: Row) -> int:
        """The number of values that are no valid text; raises BadValue where there may be none."""
        key = row[-1]
        if isinstance(key, _Invalid):
            raise BadValue(
                f"the key {str(key)[:80]!r} in the column {self._query.key.column!r} is not UTF-8:"
                " no client could go on after its row"
            )
        invalid = [
            column
            for column, value in zip(self._query.columns, row, strict=False)
            if isinstance(value, _Invalid)
        ]
        if invalid and self._invalid_text == "error":
            raise BadValue(
                f"the row {str(key)[:80]!r} has a text in {invalid[0]!r} that is not UTF-8"
            )
        return len(invalid)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is read in it is of one state of the database."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.rollback()


def _is_of_the_database(error: Exception) -> bool:
    """Whether it is locked, or was interrupted: reading again would wait again."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_INTERRUPT)


def _decoded(data: bytes) -> Any:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return _Invalid(data.decode(errors="replace"))
