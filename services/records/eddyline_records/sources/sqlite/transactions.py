"""The read transactions of a scan: one for each page, or one for all of them."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, Timer

from eddyline.errors import Unavailable


class PageTransactions:
    """Each page is of one state of the database, and none is held between two."""

    @contextmanager
    def page(self, connection: sqlite3.Connection) -> Iterator[None]:
        connection.execute("BEGIN")
        try:
            yield
        finally:
            connection.rollback()

    def close(self) -> None:
        """Does nothing: no page is open."""


class Snapshot:
    """All pages are of one state, for so many seconds. Meanwhile a database with a rollback journal
    lets nobody write, and one with a write-ahead log cannot shorten it.

    A timer ends it: a client that reads slowly takes no page for hours.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timer = Timer(seconds, self._expire)
        self._timer.daemon = True
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None
        self._expired = False

    @contextmanager
    def page(self, connection: sqlite3.Connection) -> Iterator[None]:
        with self._lock:
            if self._expired:
                raise Unavailable(
                    f"the snapshot has ended after {self._seconds:g} s, with rows left; read"
                    " faster, or fewer rows, or without a snapshot"
                )
            if self._connection is None:
                connection.execute("BEGIN")
                self._connection = connection
                self._timer.start()
            yield

    def close(self) -> None:
        self._timer.cancel()
        with self._lock:
            self._connection = None

    def _expire(self) -> None:
        with self._lock:
            self._expired = True
            if self._connection is not None:
                self._connection.rollback()
