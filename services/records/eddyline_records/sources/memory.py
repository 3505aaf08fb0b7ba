"""Rows that are in memory: for tests, and the shortest example of a source."""

from collections.abc import Iterator, Sequence

from eddyline_records.sources.base import Encode, Key, Row, Schema, Summary

#: Rows of one page.
PAGE_ROWS = 500


class MemorySource:
    """The rows, sorted by the column `key`, whose values are all of the type `key_type`."""

    def __init__(
        self, columns: Sequence[str], rows: Sequence[Row], key: str, key_type: type = int
    ) -> None:
        at = columns.index(key)
        self._rows = {row[at]: row for row in sorted(rows, key=lambda row: row[at])}
        self._schema = Schema(tuple(columns), key, key_type.__name__)
        self._key_type = key_type

    async def schema(self) -> Schema:
        return self._schema

    def key_of(self, schema: Schema, text: str) -> Key:
        try:
            return self._key_type(text)
        except ValueError:
            raise schema.bad_key(text) from None

    def scan(
        self, schema: Schema, columns: Sequence[str], after: Key | None, limit: int | None
    ) -> "MemoryScan":
        places = [schema.columns.index(column) for column in columns]
        keys = [key for key in self._rows if after is None or key > after]
        keys = keys[:limit]
        rows = [[self._rows[key][at] for at in places] for key in keys]
        return MemoryScan(rows, [str(key) for key in ([after] if after is not None else []) + keys])


class MemoryScan:
    def __init__(self, rows: Sequence[Row], cursors: Sequence[str]) -> None:
        self._rows = rows
        self._cursors = cursors
        self._sent = 0

    def pages(self, encode: Encode) -> Iterator[bytes]:
        for start in range(0, len(self._rows), PAGE_ROWS):
            page = self._rows[start : start + PAGE_ROWS]
            self._sent += len(page)
            yield encode(page)

    def summary(self) -> Summary:
        place = len(self._cursors) - len(self._rows) + self._sent - 1
        return Summary(self._cursors[place] if place >= 0 else None)

    def interrupt(self) -> None:
        """Does nothing: no page takes long."""
