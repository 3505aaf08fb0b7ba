"""Digests that outlive a process: a file of SQLite, which processes of one machine may share."""

import logging
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from eddyline.errors import StreamingError

#: The number of the format, in SQLite's `user_version`.
FORMAT = 1

#: Rows that are kept at a start; the oldest ones go.
ROWS = 1_000_000

#: Seconds to wait for another process that writes.
BUSY = 5.0

_log = logging.getLogger("eddyline.files")


class DigestFile:
    """Digests by the facts of a file. It is a cache: a fault of it costs time, and is logged.

    Methods block, and may be called in any thread.
    """

    def __init__(self, path: Path) -> None:
        """Raises StreamingError for a file that is not one of these, or cannot be made."""
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path, timeout=BUSY, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare(path)
            except BaseException:
                self._connection.close()
                raise
        except (OSError, sqlite3.Error) as error:
            raise StreamingError(f"digests cannot be kept in {path}: {error}") from error

    def get(self, identity: Sequence[int]) -> bytes | None:
        """The digest of a version (`FileVersion.identity`); None where none is kept."""
        rows = self._run("SELECT sha256 FROM digests WHERE version = ?", _key(identity))
        return bytes(rows[0][0]) if rows else None

    def put(self, identity: Sequence[int], sha256: bytes) -> None:
        """Keeps the digest of a version."""
        self._run("INSERT OR REPLACE INTO digests VALUES (?, ?)", _key(identity), sha256)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _prepare(self, path: Path) -> None:
        found = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if found not in (0, FORMAT):
            raise StreamingError(f"{path} has the format {found}: this version reads {FORMAT}")
        # A power cut may lose the newest digests. It never makes a wrong one.
        for statement in (
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = NORMAL",
            "CREATE TABLE IF NOT EXISTS digests (version TEXT PRIMARY KEY, sha256 BLOB NOT NULL)",
            f"PRAGMA user_version = {FORMAT}",
            f"DELETE FROM digests WHERE rowid <= (SELECT max(rowid) FROM digests) - {ROWS}",
        ):
            self._connection.execute(statement)

    def _run(self, statement: str, *values: str | bytes) -> list[tuple[bytes]]:
        try:
            with self._lock, closing(self._connection.execute(statement, values)) as cursor:
                return cursor.fetchall()
        except sqlite3.Error as error:
            _log.warning("the file of digests fails", extra={"error": repr(error)})
            return []


def _key(identity: Sequence[int]) -> str:
    return " ".join(map(str, identity))
