"""What a table has: its columns, the type of its key; and how to ask it in SQL."""

import logging
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote

from eddyline.errors import BadRequest, Unavailable
from eddyline_records.sources.dataset import Dataset

#: What SQLite can compare with an integer key.
_INTEGERS = range(-(2**63), 2**63)

_log = logging.getLogger("eddyline.records")


def connect(dataset: Dataset) -> sqlite3.Connection:
    """Read-only; for one thread at a time, whichever it is."""
    address = f"file:{quote(str(dataset.path))}?mode=ro"
    return sqlite3.connect(address, uri=True, check_same_thread=False, isolation_level=None)


@dataclass(frozen=True, slots=True)
class Table:
    """`columns` in the table's order; `key_type` as declared, in capitals."""

    name: str
    key: str
    key_type: str
    columns: tuple[str, ...]

    @classmethod
    def from_dataset(cls, dataset: Dataset) -> Self:
        """Reads the schema; raises Unavailable. Blocks."""
        try:
            with closing(connect(dataset)) as connection:
                return cls._read(dataset, connection)
        except (sqlite3.Error, LookupError) as error:
            _log.error("dataset %r cannot be read: %s: %s", dataset.name, dataset.path, error)
            raise Unavailable(
                f"the dataset {dataset.name!r} cannot be read now: the log has the cause"
            ) from None

    @classmethod
    def _read(cls, dataset: Dataset, connection: sqlite3.Connection) -> Self:
        rows = connection.execute(
            'SELECT name, type, pk, "notnull" FROM pragma_table_info(?)', (dataset.table,)
        ).fetchall()
        if not rows:
            raise LookupError(f"{dataset.path} has no table {dataset.table!r}")
        types = {name: declared.upper() for name, declared, _, _ in rows}
        if not _is_unique(connection, dataset, rows):
            raise LookupError(
                f"{dataset.table}.{dataset.key} of {dataset.path} is no key: it must be the primary"
                " key, or unique and not null"
            )
        return cls(dataset.table, dataset.key, types[dataset.key], tuple(types))

    def select(self, columns: Sequence[str] | None) -> tuple[str, ...]:
        """All columns, or those that are asked for; an unknown one raises BadRequest."""
        for column in columns or ():
            if column not in self.columns:
                known = ", ".join(self.columns)
                raise BadRequest(f"there is no column {column[:80]!r}: there are {known}")
        return tuple(dict.fromkeys(columns)) if columns else self.columns

    def key_of(self, text: str) -> int | float | str:
        """A key as SQLite compares it: a text is greater than every number. Raises BadRequest."""
        try:
            if "INT" in self.key_type:
                return _INTEGERS[_INTEGERS.index(int(text))]
            return float(text) if self.key_type in ("REAL", "FLOAT", "DOUBLE") else text
        except ValueError:
            raise BadRequest(
                f"after={text[:80]!r}: the key {self.key!r} is of type {self.key_type}"
            ) from None

    def query(self, columns: Sequence[str], *, after: bool) -> str:
        """Rows after a key, or from the first; the key comes last. Parameters: `after`, `limit`."""
        wanted = ", ".join(map(_quoted, (*columns, self.key)))
        key = _quoted(self.key)
        where = f"WHERE {key} > :after " if after else ""
        return f"SELECT {wanted} FROM {_quoted(self.name)} {where}ORDER BY {key} LIMIT :limit"


def _is_unique(
    connection: sqlite3.Connection, dataset: Dataset, rows: list[tuple[str, str, int, int]]
) -> bool:
    primary = [name for name, _, pk, _ in rows if pk]
    required = [name for name, _, _, notnull in rows if notnull]
    if primary == [dataset.key]:
        return True
    indexes = connection.execute(
        "SELECT (SELECT group_concat(name) FROM pragma_index_info(list.name))"
        ' FROM pragma_index_list(?) AS list WHERE list."unique" AND NOT partial',
        (dataset.table,),
    )
    return dataset.key in required and (dataset.key,) in indexes.fetchall()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
