"""A table or view of a SQLite database: `sqlite:////srv/users.db?table=users&key=id`."""

import hashlib
import logging
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import SplitResult, parse_qs, unquote

from eddyline.errors import Unavailable
from eddyline.threads import PULLS
from eddyline_records.sources.base import Key, Misconfigured, Schema, Selection, SourceChanged
from eddyline_records.sources.sqlite.key import TableKey, find_key
from eddyline_records.sources.sqlite.query import Query
from eddyline_records.sources.sqlite.scan import Policy, SqliteScan, connect
from eddyline_records.sources.sqlite.table import read_table
from eddyline_records.sources.sqlite.values import key_of
from eddyline_records.sources.sqlite.watch import Watch, identity, schema_version

_EXPECTED = "expected <name>=sqlite:///<path>?table=<table>&key=<column>"

_log = logging.getLogger("eddyline.records")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found:
    """The details of a schema: the key, and the file and the version that it was found in."""

    key: TableKey
    file: tuple[int, int]
    version: int


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
        query = Query(self.table, found.key, selection.columns)
        watch = Watch(self.path, found.file, found.version)
        return SqliteScan(self.name, query, watch, self.policy, selection)

    def _read_schema(self) -> Schema:
        file = identity(self.path)
        try:
            with closing(connect(self.path)) as connection:
                connection.execute("BEGIN")
                table = read_table(connection, self.table)
                key = find_key(connection, table, self.key)
                version = schema_version(connection)
        except Misconfigured as error:
            _log.error("dataset %r cannot be served: %s: %s", self.name, self.path, error)
            raise Misconfigured(f"the dataset {self.name!r} cannot be served: {error}") from None
        except sqlite3.Error as error:
            _log.error("dataset %r cannot be read: %s: %s", self.name, self.path, error)
            raise Unavailable(
                f"the dataset {self.name!r} cannot be read now: the log has the cause"
            ) from None
        if identity(self.path) != file:
            raise SourceChanged(f"the dataset {self.name!r} is being replaced: ask again")
        columns = tuple(column.name for column in table.columns)
        # A key has another meaning in another file, and by another schema.
        named = hashlib.sha256(repr((file, version, key)).encode()).hexdigest()[:16]
        return Schema(columns, key.columns, key.type, named, Found(key, file, version))


def _option(options: dict[str, list[str]], name: str, choices: dict[str, T], default: str) -> T:
    given = options.pop(name, [default])
    if len(given) != 1 or given[0] not in choices:
        known = " or ".join(map(repr, choices))
        raise ValueError(f"{name}={'&'.join(given)!r} must be {known}")
    return choices[given[0]]
