"""A table of a SQLite database: `sqlite:////srv/users.db?table=users&key=id`."""

import logging
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import SplitResult, parse_qs, unquote

from eddyline.errors import Unavailable
from eddyline.threads import PULLS
from eddyline_records.sources.base import Key, Schema
from eddyline_records.sources.sqlite_scan import SqliteScan, connect, query

_EXPECTED = "expected <name>=sqlite:///<path>?table=<table>&key=<column>"

#: Integers that SQLite can compare with an integer key.
_INTEGERS = range(-(2**63), 2**63)

_log = logging.getLogger("eddyline.records")


@dataclass(frozen=True, slots=True)
class SqliteSource:
    """The rows of `table`; `name` is the dataset's, for errors."""

    name: str
    path: Path
    table: str
    key: str

    @classmethod
    def from_url(cls, name: str, url: SplitResult) -> Self:
        """Raises ValueError. The path comes after `sqlite:///`: an absolute one has a fourth."""
        if url.netloc or not url.path[1:]:
            raise ValueError(f"{url.geturl()!r} is not a database; {_EXPECTED}")
        options = parse_qs(url.query)
        if set(options) != {"table", "key"} or any(len(v) > 1 for v in options.values()):
            raise ValueError(f"{url.query!r} must name one table and one key; {_EXPECTED}")
        path = Path(unquote(url.path[1:]))
        return cls(name, path, options["table"][0], options["key"][0])

    async def schema(self) -> Schema:
        return await PULLS.lane(self.path).run(self._read_schema)

    def key_of(self, schema: Schema, text: str) -> Key:
        """A key as SQLite compares it: a text is greater than every number."""
        try:
            if "INT" in schema.key_type:
                return _INTEGERS[_INTEGERS.index(int(text))]
            return float(text) if schema.key_type in ("REAL", "FLOAT", "DOUBLE") else text
        except ValueError:
            raise schema.bad_key(text) from None

    def scan(
        self, schema: Schema, columns: Sequence[str], after: Key | None, limit: int | None
    ) -> SqliteScan:
        first = query(self.table, schema.key, columns, after=False)
        following = query(self.table, schema.key, columns, after=True)
        return SqliteScan(self.path, first, following, after, limit)

    def _read_schema(self) -> Schema:
        try:
            with closing(connect(self.path)) as connection:
                return self._schema_of(connection)
        except (sqlite3.Error, LookupError) as error:
            _log.error("dataset %r cannot be read: %s: %s", self.name, self.path, error)
            raise Unavailable(
                f"the dataset {self.name!r} cannot be read now: the log has the cause"
            ) from None

    def _schema_of(self, connection: sqlite3.Connection) -> Schema:
        rows = connection.execute(
            'SELECT name, type, pk, "notnull" FROM pragma_table_info(?)', (self.table,)
        ).fetchall()
        if not rows:
            raise LookupError(f"{self.path} has no table {self.table!r}")
        types = {name: declared.upper() for name, declared, _, _ in rows}
        if not self._key_is_unique(connection, rows):
            raise LookupError(
                f"{self.table}.{self.key} of {self.path} is no key: it must be the primary"
                " key, or unique and not null"
            )
        return Schema(tuple(types), self.key, types[self.key])

    def _key_is_unique(
        self, connection: sqlite3.Connection, rows: list[tuple[str, str, int, int]]
    ) -> bool:
        primary = [name for name, _, pk, _ in rows if pk]
        required = [name for name, _, _, notnull in rows if notnull]
        if primary == [self.key]:
            return True
        indexes = connection.execute(
            "SELECT (SELECT group_concat(name) FROM pragma_index_info(list.name))"
            ' FROM pragma_index_list(?) AS list WHERE list."unique" AND NOT partial',
            (self.table,),
        )
        return self.key in required and (self.key,) in indexes.fetchall()
