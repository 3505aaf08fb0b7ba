"""One pass over a table of SQLite, in pages: no lock is held while a client is slow."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

from eddyline_records.sources.base import Encode, Key

#: Bytes that a page is to have at least.
PAGE = 64 * 1024

#: Rows that are fetched at once, where they are small: SQLite's own reading is a step for each.
FETCH = 32

#: KiB of pages that a connection keeps; SQLite would keep 2,000. A scan reads each page once.
CACHE = 256


def connect(path: Path) -> sqlite3.Connection:
    """Read-only; for one thread at a time, whichever it is."""
    address = f"file:{quote(str(path))}?mode=ro"
    connection = sqlite3.connect(address, uri=True, check_same_thread=False, isolation_level=None)
    connection.execute(f"PRAGMA cache_size = -{CACHE}")
    return connection


def query(table: str, key: str, columns: Sequence[str], *, after: bool) -> str:
    """Rows after a key, or from the first; the key comes last. Parameters: `after`, `limit`."""
    wanted = ", ".join(map(_quoted, (*columns, key)))
    where = f"WHERE {_quoted(key)} > :after " if after else ""
    return f"SELECT {wanted} FROM {_quoted(table)} {where}ORDER BY {_quoted(key)} LIMIT :limit"


class SqliteScan:
    """Rows in the order of the key: those after `after`, `limit` of them or all.

    Each page is a query of its own, from the last key on: the `first` of them where there is none
    yet, else `following`. Rows that are written meanwhile are seen if they come later.
    """

    def __init__(
        self, path: Path, first: str, following: str, after: Key | None, limit: int | None
    ) -> None:
        self._path = path
        self._first = first
        self._following = following
        self._after = after
        self._left = -1 if limit is None else limit
        self._connection: sqlite3.Connection | None = None

    def pages(self, encode: Encode) -> Iterator[bytes]:
        with closing(connect(self._path)) as connection:
            self._connection = connection
            try:
                while page := self._page(connection, encode):
                    yield page
            finally:
                self._connection = None

    def interrupt(self) -> None:
        """Ends the query that runs, if any."""
        connection = self._connection
        if connection is not None:
            with suppress(sqlite3.ProgrammingError):  # closed since
                connection.interrupt()

    def _page(self, connection: sqlite3.Connection, encode: Encode) -> bytes:
        text = self._first if self._after is None else self._following
        parameters = {"after": self._after, "limit": self._left}
        page = bytearray()
        # Rows of unknown size: one, then as many as are likely to fill the page.
        count = 1
        with closing(connection.execute(text, parameters)) as cursor:
            while len(page) < PAGE and (rows := cursor.fetchmany(count)):
                encoded = encode(rows)
                page += encoded
                count = max(1, min(FETCH, PAGE * len(rows) // max(1, len(encoded))))
                self._after = rows[-1][-1]
                if self._after is None:
                    # SQLite lets it be in a primary key; the next page would be the first again.
                    raise ValueError(f"a row has no key: {text}")
                self._left -= len(rows) if self._left > 0 else 0
        return bytes(page)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
