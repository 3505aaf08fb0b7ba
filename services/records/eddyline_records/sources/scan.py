"""One pass over a table, as NDJSON, in pages: no lock is held while a client is slow."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress

from eddyline.wire.ndjson import encode_many
from eddyline_records.sources.dataset import Dataset
from eddyline_records.sources.table import Table, connect

#: Bytes that a page is to have at least.
PAGE = 64 * 1024

#: Rows that are fetched at once; a page is never more than these above its size.
FETCH = 32


class Scan:
    """Rows in the order of the key: those after `after`, `limit` of them or all.

    Each page is a query of its own, from the last key on: rows that are written meanwhile are seen
    if they come later.
    """

    def __init__(
        self,
        dataset: Dataset,
        table: Table,
        columns: Sequence[str],
        after: int | float | str | None = None,
        limit: int | None = None,
    ) -> None:
        self._dataset = dataset
        self._table = table
        self._columns = columns
        self._after = after
        self._left = -1 if limit is None else limit
        self._connection: sqlite3.Connection | None = None

    def pages(self) -> Iterator[bytes]:
        """Blocks; a failing row raises, after the pages before it."""
        with closing(connect(self._dataset)) as connection:
            self._connection = connection
            try:
                while page := self._page(connection):
                    yield page
            finally:
                self._connection = None

    def interrupt(self) -> None:
        """Ends the query that runs, if any. For any thread."""
        connection = self._connection
        if connection is not None:
            with suppress(sqlite3.ProgrammingError):  # closed since
                connection.interrupt()

    def _page(self, connection: sqlite3.Connection) -> bytes:
        query = self._table.query(self._columns, after=self._after is not None)
        parameters = {"after": self._after, "limit": self._left}
        page = bytearray()
        with closing(connection.execute(query, parameters)) as cursor:
            while len(page) < PAGE and (rows := cursor.fetchmany(FETCH)):
                # The key, which comes last, has no name to go with, unless it is asked for.
                page += encode_many(dict(zip(self._columns, row, strict=False)) for row in rows)
                self._after = rows[-1][-1]
                if self._after is None:
                    # SQLite lets it be in a primary key; the next page would be the first again.
                    raise ValueError(f"a row of {self._table.name!r} has no key")
                self._left -= len(rows) if self._left > 0 else 0
        return bytes(page)
