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
from eddyline_records.sources.base import InvalidText, Key, Misconfigured, Schema, SourceChanged
from eddyline_records.sources.sqlite_key import TableKey, columns_of, find_key, key_of
from eddyline_records.sources.sqlite_scan import Query, SqliteScan, connect
from eddyline_records.sources.sqlite_watch import Watch, identity, schema_version

_EXPECTED = "expected <name>=sqlite:///<path>?table=<table>&key=<column>"

_log = logging.getLogger("eddyline.records")


def _policy(values: list[str]) -> InvalidText:
    if values == ["replace"]:
        return "replace"
    if values == ["error"]:
        return "error"
    raise ValueError(f"invalid_text={'&'.join(values)!r} must be 'replace' or 'error'")


@dataclass(frozen=True, slots=True)
class Found:
    """The details of a schema: the key, and the file and the version that it was found in."""

    key: TableKey
    file: tuple[int, int]
    version: int


@dataclass(frozen=True, slots=True)
class SqliteSource:
    """The rows of `table`; `name` is the dataset's, for errors."""

    name: str
    path: Path
    table: str
    key: str
    invalid_text: InvalidText = "replace"

    @classmethod
    def from_url(cls, name: str, url: SplitResult) -> Self:
        """Raises ValueError. The path comes after `sqlite:///`: an absolute one has a fourth."""
        if url.netloc or not url.path[1:]:
            raise ValueError(f"{url.geturl()!r} is not a database; {_EXPECTED}")
        options = parse_qs(url.query, keep_blank_values=True)
        invalid_text = options.pop("invalid_text", ["replace"])
        if set(options) != {"table", "key"} or any(len(v) > 1 for v in options.values()):
            raise ValueError(f"{url.query!r} must name one table and one key; {_EXPECTED}")
        path = Path(unquote(url.path[1:]))
        return cls(name, path, options["table"][0], options["key"][0], _policy(invalid_text))

    async def schema(self) -> Schema:
        return await PULLS.lane(self.path).run(self._read_schema)

    def key_of(self, schema: Schema, text: str) -> Key:
        try:
            return key_of(schema.key_type, text)
        except ValueError:
            raise schema.bad_key(text) from None

    def scan(
        self, schema: Schema, columns: Sequence[str], after: Key | None, limit: int | None
    ) -> SqliteScan:
        found: Found = schema.details
        query = Query(self.table, found.key, tuple(columns))
        watch = Watch(self.path, found.file, found.version)
        return SqliteScan(self.name, query, watch, self.invalid_text, after, limit)

    def _read_schema(self) -> Schema:
        file = identity(self.path)
        try:
            with closing(connect(self.path)) as connection:
                connection.execute("BEGIN")
                columns = columns_of(connection, self.table)
                key = find_key(connection, self.table, self.key)
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
        return Schema(columns, key.column, key.type, Found(key, file, version))
