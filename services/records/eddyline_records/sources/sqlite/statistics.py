"""The number of rows of a table, and keys that part them."""

import sqlite3
from dataclasses import dataclass

from eddyline_records.sources.base import Key
from eddyline_records.sources.sqlite.page import executed
from eddyline_records.sources.sqlite.query import Query
from eddyline_records.sources.sqlite.tables.values import ROWID


@dataclass(frozen=True, slots=True)
class Statistics:
    table: str
    query: Query

    def count(self, connection: sqlite3.Connection, after: Key | None, until: Key | None) -> int:
        """The rows of the query; SQLite goes through all of them."""
        return int(executed(connection, self.query.count(after, until)).fetchone()[0])

    def estimate(self, connection: sqlite3.Connection) -> int | None:
        """As ANALYZE counted them (sqlite.org/fileformat2.html, 2.6.3), or by the rowids in use."""
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat1'").fetchone():
            counted = connection.execute(
                "SELECT max(CAST(stat AS INTEGER)) FROM sqlite_stat1 WHERE tbl = ?", (self.table,)
            ).fetchone()[0]
            if counted is not None:
                return int(counted)
        ends = self._ends(connection)
        return None if ends is None else ends[1] - ends[0] + 1

    def split(self, connection: sqlite3.Connection, shards: int) -> list[Key]:
        last = executed(connection, self.query.last()).fetchone()
        if last is None:
            return []
        keys = dict.fromkeys(self._parting(connection, shards))
        return [*(key for key in keys if key != last), last]

    def _parting(self, connection: sqlite3.Connection, shards: int) -> list[Key]:
        ends = self._ends(connection)
        if ends is not None:
            first, size = ends[0], ends[1] - ends[0] + 1
            numbers = [first - 1 + size * at // shards for at in range(1, shards)]
            return [(number,) for number in numbers if number >= first]
        rows = self.count(connection, None, None)
        keys: list[Key] = []
        before = 0
        for place in sorted({rows * at // shards for at in range(1, shards)} - {0}):
            # From the last key on: all of them together go through the rows once.
            following = self.query.at(keys[-1] if keys else None, place - before)
            keys.append(executed(connection, following).fetchone())
            before = place
        return keys

    def _ends(self, connection: sqlite3.Connection) -> tuple[int, int] | None:
        """The first and the last rowid; None: the key is none, or there is no row."""
        if self.query.key.type != ROWID:
            return None
        first = executed(connection, self.query.first()).fetchone()
        last = executed(connection, self.query.last()).fetchone()
        return None if first is None else (min(first + last), max(first + last))
