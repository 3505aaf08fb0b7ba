"""A table or view of a SQLite database: `sqlite:////srv/users.db?table=users&key=id`."""

import hashlib
import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import SplitResult, parse_qs, unquote

from eddyline.errors import Unavailable
from eddyline.threads import PULLS
from eddyline_records.sources.base import Key, Misconfigured, Schema, Selection, SourceChanged
from eddyline_records.sources.sqlite.query import Query
from eddyline_records.sources.sqlite.scan import Policy, SqliteScan, connect
from eddyline_records.sources.sqlite.statistics import Statistics
from eddyline_records.sources.sqlite.tables.filters import Filters, filter_type
from eddyline_records.sources.sqlite.tables.key import TableKey, find_key
from eddyline_records.sources.sqlite.tables.table import Table, read_table
from eddyline_records.sources.sqlite.tables.values import TEXT, key_of
from eddyline_records.sources.sqlite.watch import Watch, identity, schema_version

_EXPECTED = "expected <name>=sqlite:///<path>?table=<table>&key=<column>"

#: Columns that fit into the arguments of SQLite's json_object (sqlite.org/limits.html, item 6).
JSON_COLUMNS = 50

_log = logging.getLogger("eddyline.records")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found:
    """The details of a schema: the key, the types of the columns that conditions may name, the file
    and the version that they were found in, and whether all columns are as they were stored.
    """

    key: TableKey
    file: tuple[int, int]
    version: int
    filters: dict[str, str] = field(default_factory=dict)
    is_stored: bool = False


@dataclass(frozen=True, slots=True)
class SqliteSource:
    """The rows of `table`; `name` is the dataset's, for errors. `key`: its columns, or `rowid`."""

    name: str
    path: Path
    table: str
    key: tuple[str, ...]
    policy: Policy = field(default_factory=Policy)

    @classmethod
    def from_url(cls, name: str, url: SplitResult) -> Self:
        """Raises ValueError. The path comes after `sqlite:///`: an absolute one has a fourth."""
        if url.netloc or not url.path[1:]:
            raise ValueError(f"{url.geturl()!r} is not a database; {_EXPECTED}")
        options = parse_qs(url.query, keep_blank_values=True)
        policy = Policy(
            _option(options, "invalid_text", {"replace": "replace", "error": "error"}, "replace"),
            _option(options, "keys", {"fixed": True, "may_change": False}, "may_change"),
            _option(options, "where", {"any": True, "indexed": False}, "indexed"),
        )
        if set(options) != {"table", "key"} or len(options["table"]) > 1:
            raise ValueError(
                f"{url.query!r} must name one table, and a key by each of its columns; {_EXPECTED}"
            )
        path = Path(unquote(url.path[1:]))
        return cls(name, path, options["table"][0], tuple(options["key"]), policy)

    async def schema(self) -> Schema:
        return await PULLS.lane(self.path).run(self._read_schema)

    def key_of(self, schema: Schema, text: str) -> Key:
        try:
            return (key_of(schema.key_type, text),)
        except ValueError:
            raise schema.bad_key(text) from None

    def scan(self, schema: Schema, selection: Selection) -> SqliteScan:
        found: Found = schema.details
        watch = Watch(self.path, found.file, found.version, selection.state)
        query = self._query(found, selection)
        as_json = found.is_stored and len(selection.columns) <= JSON_COLUMNS
        return SqliteScan(self.name, query, watch, self.policy, selection, as_json=as_json)

    async def count(self, schema: Schema, selection: Selection, *, exact: bool) -> int | None:
        query = self._query(schema.details, selection)
        statistics = Statistics(self.table, query)
        if exact:
            return await self._run(statistics.count, selection.after, selection.until)
        return await self._run(statistics.estimate) if not selection.where else None

    async def split(self, schema: Schema, shards: int) -> list[Key]:
        query = self._query(schema.details, Selection(()))
        return await self._run(Statistics(self.table, query).split, shards)

    async def _run(self, read: Callable[..., T], *args: Any) -> T:
        def run() -> T:
            with self._reading() as connection:
                return read(connection, *args)

        return await PULLS.lane(self.path).run(run)

    def _query(self, found: Found, selection: Selection) -> Query:
        filters = Filters(selection.where, found.filters) if selection.where else None
        return Query(self.table, found.key, selection.columns, filters, selection.descending)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A transaction; its errors are those that a client is told."""
        try:
            with closing(connect(self.path)) as connection:
                connection.execute("BEGIN")
                yield connection
        except Misconfigured as error:
            _log.error("dataset %r cannot be served: %s: %s", self.name, self.path, error)
            raise Misconfigured(f"the dataset {self.name!r} cannot be served: {error}") from None
        except sqlite3.Error as error:
            _log.error("dataset %r cannot be read: %s: %s", self.name, self.path, error)
            raise Unavailable(
                f"the dataset {self.name!r} cannot be read now: the log has the cause"
            ) from None

    def _read_schema(self) -> Schema:
        file = identity(self.path)
        with self._reading() as connection:
            table = read_table(connection, self.table)
            key = find_key(connection, table, self.key)
            version = schema_version(connection)
            filters = self._filters(connection, table)
        if identity(self.path) != file:
            raise SourceChanged(f"the dataset {self.name!r} is being replaced: ask again")
        # A key has another meaning in another file, and by another schema.
        named = hashlib.sha256(repr((file, version, key)).encode()).hexdigest()[:16]
        return Schema(
            tuple(column.name for column in table.columns),
            key.columns,
            key.type,
            named,
            tuple(column.type for column in table.columns),
            tuple(filters),
            descends=True,
            details=Found(key, file, version, filters, table.is_stored),
        )

    def _filters(self, connection: sqlite3.Connection, table: Table) -> dict[str, str]:
        indexed = table.indexed(connection)
        types = {column.name: filter_type(column) for column in table.columns}
        if connection.execute("PRAGMA encoding").fetchone() != ("UTF-8",):
            # Texts of UTF-16 have another order than their characters, and so other prefixes.
            types = {name: kind for name, kind in types.items() if kind != TEXT}
        return {
            name: kind
            for name, kind in types.items()
            if kind is not None and (self.policy.where_any or name in indexed)
        }


def _option(options: dict[str, list[str]], name: str, choices: dict[str, T], default: str) -> T:
    given = options.pop(name, [default])
    if len(given) != 1 or given[0] not in choices:
        known = " or ".join(map(repr, choices))
        raise ValueError(f"{name}={'&'.join(given)!r} must be {known}")
    return choices[given[0]]
