"""The one DuckDB of a process: in memory, for reading files; a cursor for each reader."""

import functools
from typing import Any

#: Threads of one query. Requests run beside each other, and the order of rows is that of the file.
THREADS = 1

#: The memory of all queries together, beyond which they fail.
MEMORY = "1GB"

#: The rows that are made ahead of a reader: its first ones wait for so many.
AHEAD = "64KB"


@functools.cache
def engine() -> Any:
    """Raises ImportError without the extra `duckdb`."""
    import duckdb

    return duckdb.connect(
        ":memory:",
        config={
            "threads": THREADS,
            "memory_limit": MEMORY,
            "preserve_insertion_order": True,
            # No code comes from the network.
            "autoinstall_known_extensions": False,
            "TimeZone": "UTC",
            # It tells files by their times: one that was replaced within a second would be the old.
            "enable_external_file_cache": False,
        },
    )


def new_cursor() -> Any:
    """A reader of its own, for one thread at a time."""
    cursor = engine().cursor()
    cursor.execute(f"SET streaming_buffer_size = '{AHEAD}'")
    return cursor
