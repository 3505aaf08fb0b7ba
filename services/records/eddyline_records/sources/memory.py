"""Rows that are in memory: for tests, and the shortest example of a source."""

from collections.abc import Iterator, Sequence

from eddyline_records.sources.base import Encode, Key, Row, Schema, Selection, Summary

#: Rows of one page.
PAGE_ROWS = 500


class MemorySource:
    """The rows, sorted by the column `key`, whose values are all of the type `key_type`."""

    def __init__(
        self, columns: Sequence[str], rows: Sequence[Row], key: str, key_type: type = int
    ) -> None:
        at = columns.index(key)
        self._rows = {(row[at],): row for row in sorted(rows, key=lambda row: row[at])}
        self._schema = Schema(tuple(columns), (key,), key_type.__name__, "memory", descends=True)
        self._key_type = key_type

    async def schema(self) -> Schema:
        return self._schema

    def key_of(self, schema: Schema, text: str) -> Key:
        try:
            return (self._key_type(text),)
        except ValueError:
            raise schema.bad_key(text) from None

    def scan(self, schema: Schema, selection: Selection) -> "MemoryScan":
        places = [schema.columns.index(column) for column in selection.columns]
        keys = self._keys(selection)
        rows = [[self._rows[key][at] for at in places] for key in keys[: selection.limit]]
        return MemoryScan(keys, rows, selection.after)

    async def count(self, schema: Schema, selection: Selection, *, exact: bool) -> int | None:
        return len(self._keys(selection))

    async def split(self, schema: Schema, shards: int) -> list[Key]:
        keys = list(self._rows)
        places = {len(keys) * at // shards for at in range(1, shards + 1)} - {0}
        return [keys[place - 1] for place in sorted(places)]

    def _keys(self, selection: Selection) -> list[Key]:
        after, until = selection.after, selection.until
        if selection.descending:
            keys = [key for key in reversed(self._rows) if after is None or key < after]
            return [key for key in keys if until is None or key >= until]
        keys = [key for key in self._rows if after is None or key > after]
        return [key for key in keys if until is None or key <= until]


class MemoryScan:
    """`keys`: those of the rows, and of the rows beyond the limit."""

    def __init__(self, keys: Sequence[Key], rows: Sequence[Row], after: Key | None) -> None:
        self._keys = keys
        self._rows = rows
        self._after = after
        self._sent = 0

    def pages(self, encode: Encode) -> Iterator[bytes]:
        for start in range(0, len(self._rows), PAGE_ROWS):
            page = self._rows[start : start + PAGE_ROWS]
            self._sent += len(page)
            yield encode(page)

    def summary(self) -> Summary:
        keys, rows = self._keys, len(self._rows)
        return Summary(
            keys[self._sent - 1] if self._sent else self._after,
            keys[-1] if keys else self._after,
            keys[rows - 1] if len(keys) > rows > 0 else None,
        )

    def interrupt(self) -> None:
        """Does nothing: no page takes long."""
