"""The lesson's million users, as a SQLite file."""

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

_ROWS = """
WITH RECURSIVE numbers(id) AS (
    SELECT 0 WHERE :rows > 0 UNION ALL SELECT id + 1 FROM numbers WHERE id + 1 < :rows
)
INSERT INTO users SELECT id, 'User ' || id FROM numbers
"""


def make_users(path: Path, rows: int = 1_000_000) -> None:
    """Makes the file unless it is there: half a second. A reader that sees it sees all of it."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with closing(sqlite3.connect(name, isolation_level=None)) as connection:
            # A file that is thrown away when this fails needs no journal.
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
            connection.execute(_ROWS, {"rows": rows})
        os.fchmod(handle, 0o644)
        os.fsync(handle)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    finally:
        os.close(handle)
