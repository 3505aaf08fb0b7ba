"""One pass over a table of SQLite, in pages: no lock is held while a client is slow."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from eddyline.errors import Unavailable
from eddyline_records.sources.base import BadValue, Encode, InvalidText, Key, Selection, Summary
from eddyline_records.sources.sqlite.page import Page, executed, is_utf8, lenient
from eddyline_records.sources.sqlite.query import Query
from eddyline_records.sources.sqlite.transactions import PageTransactions, Snapshot
from eddyline_records.sources.sqlite.watch import Watch

#: KiB of pages that a connection keeps; SQLite would keep 2,000. A scan reads each page once.
CACHE = 256

#: Rows that are found by an index of their own, and sorted for each page. More of them are found by
#: going through the table in the order of its key.
RARE = 2000

_log = logging.getLogger("eddyline.records")


def connect(path: Path) -> sqlite3.Connection:
    """Read-only; for one thread at a time, whichever it is."""
    address = f"file:{quote(str(path))}?mode=ro"
    connection = sqlite3.connect(address, uri=True, check_same_thread=False, isolation_level=None)
    connection.execute(f"PRAGMA cache_size = -{CACHE}")
    return connection


@dataclass(frozen=True, slots=True)
class Policy:
    """`fixed_keys`: no row's key is ever changed, so that rows that others write meanwhile make no
    other row come twice or never. `where_any`: conditions may name columns without an index, and so
    have all rows read.
    """

    invalid_text: InvalidText = "replace"
    fixed_keys: bool = False
    where_any: bool = False


@dataclass(frozen=True, slots=True)
class _Span:
    """The keys of a scan's rows end with `stop`; `next`: the same, where rows follow. No `until`:
    the last key is not UTF-8, and reading ends with the error that tells so.
    """

    until: Key | None
    stop: Key | None
    next: Key | None = None
    left: int = -1


class SqliteScan:
    """Rows in the order of the key.

    Each page is a query of its own, from the last key on, up to the key that was the last one at
    the first page. Rows that are written meanwhile are seen if they come later; a table that
    becomes another one is an error.
    """

    def __init__(
        self,
        name: str,
        query: Query,
        watch: Watch,
        policy: Policy,
        selection: Selection,
        *,
        as_json: bool = False,
    ) -> None:
        self._name = name
        self._query = query
        self._watch = watch
        self._policy = policy
        self._selection = selection
        seconds = selection.snapshot
        self._transactions = PageTransactions() if seconds is None else Snapshot(seconds)
        self._span: _Span | None = None
        self._after = selection.after
        self._left = -1
        self._as_json = as_json
        self._replaced = 0
        self._failure: Exception | None = None
        self._connection: sqlite3.Connection | None = None

    def pages(self, encode: Encode) -> Iterator[bytes]:
        try:
            with closing(connect(self._watch.path)) as connection, closing(self._transactions):
                self._connection = connection
                while self._failure is None and (page := self._next(connection, encode)):
                    yield page
                if self._failure is not None:
                    raise self._failure
        except sqlite3.Error as error:
            _log.error("dataset %r cannot be read: %s", self._name, error)
            raise Unavailable(
                f"the dataset {self._name!r} cannot be read now: the log has the cause"
            ) from error
        finally:
            self._connection = None

    def summary(self) -> Summary:
        changed = self._watch.changed
        span = self._span
        return Summary(
            self._after,
            span.until if span else self._selection.until,
            span.next if span else None,
            changed,
            changed and not self._policy.fixed_keys,
            self._replaced,
            self._watch.state,
        )

    def interrupt(self) -> None:
        """Ends the query that runs, if any."""
        connection = self._connection
        if connection is not None:
            with suppress(sqlite3.ProgrammingError):  # closed since
                connection.interrupt()

    def _next(self, connection: sqlite3.Connection, encode: Encode) -> bytes:
        with self._transactions.page(connection):
            self._watch.enter(connection)
            if self._span is None:
                with lenient(connection):
                    self._span = self._find_span(connection)
                if self._span is None:
                    return b""
                self._left = self._span.left
            page = Page(
                self._query,
                encode,
                self._selection.invalid_text or self._policy.invalid_text,
                self._after,
                self._span.stop,
                self._left,
                self._as_json,
            )
            page.read(connection)
            self._watch.leave()
        self._after, self._left, self._failure = page.after, page.left, page.failure
        self._as_json = page.as_json
        self._replaced += page.replaced
        return bytes(page.data)

    def _is_rare(self, connection: sqlite3.Connection) -> bool:
        """Whether so few rows meet the conditions that each page may sort all of them."""
        counted = self._query.count(None, None, RARE)
        return bool(executed(connection, counted).fetchone()[0] < RARE)

    def _find_span(self, connection: sqlite3.Connection) -> _Span | None:
        """None: there is no row."""
        if self._query.key.nullable and executed(connection, self._query.null()).fetchone():
            columns = ", ".join(map(repr, self._query.key.columns))
            raise BadValue(f"a row has no {columns}, which is the key")
        after, limit = self._selection.after, self._selection.limit
        until = self._selection.until or executed(connection, self._query.last()).fetchone()
        if until is None:
            return None
        if self._query.filters is not None:
            self._query = replace(self._query, by_index=self._is_rare(connection))
        until = until if is_utf8(until) else None
        if limit is None:
            return _Span(until, until)
        ends = executed(connection, self._query.end(after, until, limit)).fetchall()
        if len(ends) < 2:
            return _Span(until, until)
        if not is_utf8(ends[0]):
            return _Span(until, until, left=limit)
        return _Span(until, ends[0], ends[0])
