"""One pass over rows of DuckDB, in their own order."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson

from eddyline.errors import Unavailable
from eddyline_records.sources.base import Encode, Selection, Summary
from eddyline_records.sources.duckdb.columns import Column, quoted
from eddyline_records.sources.duckdb.files import Files

#: Bytes that a page is to have at least.
PAGE = 64 * 1024

#: Rows that are fetched at once; the first page has one fetch of few, to come soon.
FETCH, FIRST = 512, 16

#: The number of the last row that there may be.
LAST = 2**63 - 1

_log = logging.getLogger("eddyline.records")


@dataclass(slots=True)
class DuckScan:
    """The key of a row is its number: the rows of these files never change, or it is an error."""

    name: str
    cursor: Any
    files: Files
    relation: str
    columns: Sequence[Column]
    where: str
    selection: Selection
    _sent: int = field(default=0, init=False)
    _more: bool = field(default=False, init=False)

    def pages(self, encode: Encode) -> Iterator[bytes]:
        import duckdb

        try:
            self.files.check()
            if self.selection.limit is not None:
                self._more = self._has_more()
            yield from self._read(encode)
        except duckdb.Error as error:
            _log.error("dataset %r cannot be read: %s", self.name, error)
            raise Unavailable(
                f"the dataset {self.name!r} cannot be read now: the log has the cause"
            ) from error
        finally:
            self.cursor.close()

    def summary(self) -> Summary:
        selection, more = self.selection, self._more
        after = self._after + self._sent
        next = (self._after + self._limit(),) if more else None
        started = after > 0 or selection.after is not None
        return Summary((after,) if started else None, selection.until or (LAST,), next)

    def interrupt(self) -> None:
        with suppress(Exception):  # closed since
            self.cursor.interrupt()

    @property
    def _after(self) -> int:
        return int(self.selection.after[0]) if self.selection.after else 0

    @property
    def _left(self) -> int:
        """The rows from the first one of this scan to the last one that it may have."""
        until = int(self.selection.until[0]) if self.selection.until else LAST
        return max(0, until - self._after)

    def _limit(self) -> int:
        """The number of rows at most."""
        limit = self.selection.limit
        return self._left if limit is None else min(limit, self._left)

    def _has_more(self) -> bool:
        """Whether rows follow those of the limit."""
        limit = self._limit()
        return limit < self._left and bool(self._execute("1", limit, 1).fetchall())

    def _execute(self, wanted: str, skipped: int, limit: int) -> Any:
        return self.cursor.execute(
            f"SELECT {wanted} FROM {self.relation} AS t {self.where}"
            f" LIMIT {limit} OFFSET {self._after + skipped}"
        )

    def _read(self, encode: Encode) -> Iterator[bytes]:
        objects: Callable[[Sequence[str]], bytes] | None = getattr(encode, "objects", None)
        pairs = [
            f"{quoted(column.name)} := {column.sql(texts=objects is None)}"
            for column in self.columns
        ]
        found = self._execute(f"to_json(struct_pack({', '.join(pairs)}))", 0, self._limit())
        page = bytearray()
        count = FIRST
        while texts := [text for (text,) in found.fetchmany(count)]:
            self.files.check()
            page += objects(texts) if objects else encode([self._row(text) for text in texts])
            self._sent += len(texts)
            if count == FIRST or len(page) >= PAGE:
                yield bytes(page)
                page.clear()
            count = FETCH
        if page:
            yield bytes(page)

    def _row(self, text: str) -> list[Any]:
        values = orjson.loads(text).values()
        return [c.value(value) for c, value in zip(self.columns, values, strict=True)]
