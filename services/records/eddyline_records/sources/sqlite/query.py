"""The statements of a scan: rows of a table in the order of its key."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from eddyline_records.sources.base import Key
from eddyline_records.sources.sqlite.tables.filters import Filters
from eddyline_records.sources.sqlite.tables.key import TableKey
from eddyline_records.sources.sqlite.tables.table import quoted


@dataclass(frozen=True, slots=True)
class Statement:
    sql: str
    values: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Query:
    """Rows with their columns, and those of the key last."""

    table: str
    key: TableKey
    columns: tuple[str, ...] = ()
    filters: Filters | None = None
    descending: bool = False
    by_index: bool = True

    def rows(self, after: Key | None, until: Key | None, limit: int) -> Statement:
        """The rows after a key, or from the first, up to another one; `limit` -1: all of them."""
        wanted = [f"t.{quoted(name)}" for name in self.columns] + list(self.key.names)
        return self._select(wanted, after, until, f"{self._order()} LIMIT {limit}")

    def objects(self, after: Key | None, until: Key | None, limit: int) -> Statement:
        """As `rows`, with the text of a JSON object in place of the columns; null for a row with a
        value whose JSON SQLite has not right: it rounds reals to 15 digits, and refuses blobs.
        """
        pairs = ", ".join(f"{_text(name)}, t.{quoted(name)}" for name in self.columns)
        # A rowid is an integer in each row.
        doubtful = [name for name in self.columns if (name,) != self.key.rowid]
        classes = [f"typeof(t.{quoted(name)}) IN ('real', 'blob')" for name in doubtful] or ["0"]
        json = f"CASE WHEN {' OR '.join(classes)} THEN NULL ELSE json_object({pairs}) END"
        wanted = [json, *self.key.names]
        return self._select(wanted, after, until, f"{self._order()} LIMIT {limit}")

    def last(self) -> Statement:
        """The key of the last row."""
        return self._select(self.key.names, None, None, f"{self._order(reverse=True)} LIMIT 1")

    def first(self) -> Statement:
        return self._select(self.key.names, None, None, f"{self._order()} LIMIT 1")

    def count(self, after: Key | None, until: Key | None, limit: int = -1) -> Statement:
        """The number of rows, `limit` at most."""
        rows = self._select(["1"], after, until, f"LIMIT {limit}")
        return Statement(f"SELECT count(*) FROM ({rows.sql})", rows.values)

    def at(self, after: Key | None, rows: int) -> Statement:
        """The key of the last of so many rows after a key."""
        rest = f"{self._order()} LIMIT 1 OFFSET {rows - 1}"
        return self._select(self.key.names, after, None, rest)

    def end(self, after: Key | None, until: Key | None, limit: int) -> Statement:
        """The key of the row at the limit, and that of the row after it."""
        rest = f"{self._order()} LIMIT 2 OFFSET {limit - 1}"
        return self._select(self.key.names, after, until, rest)

    def null(self) -> Statement:
        """A row without a key: SQLite lets it be in a primary key, and a view may have one."""
        where = " OR ".join(f"{name} IS NULL" for name in self.key.names)
        return Statement(f"SELECT 1 FROM {self._from} WHERE {where} LIMIT 1")

    @property
    def _from(self) -> str:
        return f"main.{quoted(self.table)} AS t"

    def _order(self, *, reverse: bool = False) -> str:
        direction = " DESC" if self.descending != reverse else ""
        return "ORDER BY " + ", ".join(f"{part}{direction}" for part in self.key.sorted)

    def _select(
        self, wanted: Sequence[str], after: Key | None, until: Key | None, rest: str
    ) -> Statement:
        conditions: list[str] = []
        values: dict[str, object] = {}
        behind, up_to = ("<", ">=") if self.descending else (">", "<=")
        for sign, bound, key in ((behind, "after", after), (up_to, "until", until)):
            if key is not None:
                names = [f":{bound}{at}" for at in range(len(key))]
                conditions.append(f"{_row(self.key.sorted)} {sign} {_row(names)}")
                values |= {f"{bound}{at}": part for at, part in enumerate(key)}
        if self.filters is not None:
            conditions += self.filters.sql(by_index=self.by_index)
            values |= self.filters.values
        where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
        return Statement(f"SELECT {', '.join(wanted)} FROM {self._from} {where}{rest}", values)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _row(parts: Sequence[str]) -> str:
    """A value, or a row of values, which are compared in turn (sqlite.org/rowvalue.html)."""
    return parts[0] if len(parts) == 1 else f"({', '.join(parts)})"
