"""Files that DuckDB reads: `parquet:////srv/*.parquet`, `csv:////srv/x.csv`; and a table of its own
database, `duckdb:////srv/x.duckdb?table=users`.

They are read as they are: a file that is replaced or written while it is read is an error, and has
another version.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypeVar
from urllib.parse import SplitResult, parse_qs, unquote

from eddyline.errors import Unavailable
from eddyline.threads import PULLS
from eddyline_records.sources.base import Key, Misconfigured, Schema, Selection
from eddyline_records.sources.duckdb.columns import Column, quoted
from eddyline_records.sources.duckdb.engine import engine, new_cursor
from eddyline_records.sources.duckdb.files import Files
from eddyline_records.sources.duckdb.filters import filters
from eddyline_records.sources.duckdb.scan import LAST, DuckScan

_log = logging.getLogger("eddyline.records")

T = TypeVar("T")

#: A CSV has texts, and no types: guessed ones would make 7 of 007.
_CSV = (
    "read_csv({}, all_varchar=true, header=true, delim=',', quote='\"', escape='\"',"
    " allow_quoted_nulls=false)"
)


@dataclass(frozen=True, slots=True)
class Found:
    """The details of a schema: the files, and the columns with their types."""

    files: Files
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class DuckSource:
    """`name` is the dataset's, for errors; `pattern` names files; `table` is one of a database."""

    name: str
    kind: str
    pattern: str
    table: str | None = None

    @classmethod
    def from_url(cls, name: str, url: SplitResult) -> Self:
        """Raises ValueError. The path comes after `scheme:///`: an absolute one has a fourth."""
        try:
            engine()
        except ImportError:
            raise ValueError(
                f"{url.scheme} needs DuckDB: pip install 'eddyline-records[duckdb]'"
            ) from None
        options = parse_qs(url.query, keep_blank_values=True)
        wanted = {"table"} if url.scheme == "duckdb" else set()
        if url.netloc or not url.path[1:] or set(options) != wanted:
            example = f"{url.scheme}:///<path>{'?table=<table>' if wanted else ''}"
            raise ValueError(f"{url.geturl()!r} must be as {example}")
        table = options["table"][0] if wanted else None
        return cls(name, url.scheme, unquote(url.path[1:]), table)

    async def schema(self) -> Schema:
        found = await self._run(self._find)
        names = tuple(column.name for column in found.columns)
        types = tuple(column.type for column in found.columns)
        return Schema(
            names,
            ("row_number",),
            "INTEGER",
            found.files.version,
            types,
            tuple(column.name for column in found.columns if _has_values(column)),
            details=found,
        )

    def key_of(self, schema: Schema, text: str) -> Key:
        if not (text.isascii() and text.isdigit()) or len(text) > 18:
            raise schema.bad_key(text)
        return (int(text),)

    def scan(self, schema: Schema, selection: Selection) -> DuckScan:
        found: Found = schema.details
        by_name = {column.name: column for column in found.columns}
        columns = [by_name[name] for name in selection.columns]
        cursor = new_cursor()
        where = self._where(cursor, found, selection)
        relation = self._relation(found.files)
        return DuckScan(self.name, cursor, found.files, relation, columns, where, selection)

    async def count(self, schema: Schema, selection: Selection, *, exact: bool) -> int | None:
        if not exact and (self.kind == "csv" or selection.where):
            return None
        return await self._run(lambda: self._count(schema.details, selection))

    async def split(self, schema: Schema, shards: int) -> list[Key]:
        rows = await self._run(lambda: self._count(schema.details, Selection(())))
        return [
            (place,)
            for place in sorted({rows * at // shards for at in range(1, shards + 1)})
            if place
        ]

    def _count(self, found: Found, selection: Selection) -> int:
        cursor = new_cursor()
        where = self._where(cursor, found, selection)
        relation = self._relation(found.files)
        [[found_rows]] = cursor.execute(f"SELECT count(*) FROM {relation} AS t {where}").fetchall()
        until = int(selection.until[0]) if selection.until else LAST
        return max(
            0, min(int(found_rows), until) - (int(selection.after[0]) if selection.after else 0)
        )

    def _where(self, cursor: Any, found: Found, selection: Selection) -> str:
        types = {column.name: column.type for column in found.columns}
        return filters(cursor, selection.where, types)

    def _find(self) -> Found:
        files = Files.found(self.pattern)
        cursor = new_cursor()
        described = cursor.execute(f"DESCRIBE SELECT * FROM {self._relation(files)}").fetchall()
        columns = tuple(Column(name, kind) for name, kind, *_ in described)
        return Found(files, columns)

    def _relation(self, files: Files) -> str:
        paths = "[" + ", ".join(_text(path) for path in files.paths) + "]"
        if self.kind == "parquet":
            return f"read_parquet({paths})"
        if self.kind == "csv":
            return _CSV.format(paths)
        return self._attached(files)

    def _attached(self, files: Files) -> str:
        """The table, in the database of this version: an older one may still be read."""
        if len(files.paths) != 1:
            raise Misconfigured(f"the dataset {self.name!r} must be one database")
        alias = f"{self.name} {files.version}"
        cursor = new_cursor()
        known = cursor.execute("SELECT database_name FROM duckdb_databases()").fetchall()
        if (alias,) not in known:
            cursor.execute(
                f"ATTACH IF NOT EXISTS {_text(files.paths[0])} AS {quoted(alias)} (READ_ONLY)"
            )
        for (other,) in known:
            # Its readers are told that the file was replaced.
            if other != alias and other.startswith(f"{self.name} "):
                cursor.execute(f"DETACH DATABASE IF EXISTS {quoted(other)}")
        return f"{quoted(alias)}.{quoted(self.table or '')}"

    async def _run(self, read: Callable[[], T]) -> T:
        import duckdb

        try:
            return await PULLS.lane(self.pattern).run(read)
        except (OSError, duckdb.Error) as error:
            _log.error("dataset %r cannot be read: %s", self.name, error)
            raise Unavailable(
                f"the dataset {self.name!r} cannot be read now: the log has the cause"
            ) from None


def _has_values(column: Column) -> bool:
    """Whether a text of a URL can be a value of it: nested values and bytes cannot."""
    nested = column.type.endswith("]") or column.type.startswith(("STRUCT", "MAP", "UNION", "BLOB"))
    return not nested


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
