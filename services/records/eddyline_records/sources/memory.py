"""Rows that are in memory: for tests, and the shortest example of a source."""

from collections.abc import Iterator, Sequence

from eddyline_records.sources.base import Encode, Key, Row, Schema

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
        return MemoryScan([[self._rows[key][at] for at in places] for key in keys[:limit]])


class MemoryScan:
    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    def pages(self, encode: Encode) -> Iterator[bytes]:
        for start in range(0, len(self._rows), PAGE_ROWS):
            yield encode(self._rows[start : start + PAGE_ROWS])

    def interrupt(self) -> None:
        """Does nothing: no page takes long."""
