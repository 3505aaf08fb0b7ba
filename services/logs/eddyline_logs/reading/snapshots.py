"""Places of a source that nobody follows: as its files are at this moment. Blocks the thread."""

import time
from contextlib import closing

from eddyline.journal.cursor import Cursor
from eddyline_logs.files.base import File, Identity, is_copy
from eddyline_logs.files.place import Place, Spot, source_key, spot_of
from eddyline_logs.reading.backlog import line_start
from eddyline_logs.reading.file_chain import Followable
from eddyline_logs.reading.published import Published


def take(source: Followable, line_limit: int) -> Published:
    """All lines that are there, as if they had been published."""
    key, ends = source_key(source.id), dict[Identity, Spot]()
    place = Place.nowhere(key, time.time_ns())
    newest: File | None = None
    with closing(source.chain(line_limit).files()) as files:
        newest = next(files, None)
        if newest is None:
            return Published(Cursor("files", 0), place, None, ends, {}, {})
        with closing(newest):
            if (end := newest.end()) is not None:
                ends[newest.identity] = spot_of(newest, end)
            start = line_start(newest, end or 0, line_limit)
            older = next(files, None)
            spots = []
            if older is not None:
                with closing(older):
                    if not older.compressed and not is_copy(older, newest):
                        spots = [spot_of(older, line_start(older, older.end() or 0, line_limit))]
            modified = newest.status().st_mtime_ns
            place = Place(key, modified, spot_of(newest, start), tuple(spots))
    return Published(Cursor("files", 0), place, newest.identity, ends, {}, {})


def earliest(source: Followable, line_limit: int) -> Place:
    """The start of the oldest file that is there."""
    oldest = None
    for file in source.chain(line_limit).files():
        if oldest is not None:
            oldest.close()
        oldest = file
    if oldest is None:
        return Place.nowhere(source_key(source.id), time.time_ns())
    with closing(oldest):
        return Place(source_key(source.id), oldest.status().st_mtime_ns, spot_of(oldest, 0))
