"""Lines that are read from their files again: for clients that come back from any place, as after a
restart of the process, or from another one.
"""

import time
from collections.abc import Callable, Iterator

import orjson

from eddyline.broadcast.catch_up import Start
from eddyline.broadcast.formats import RESET
from eddyline.errors import BadCursor
from eddyline.journal.base import EVERYTHING, Entry, Interest, Page
from eddyline.journal.cursor import EARLIEST, Cursor
from eddyline.journal.memory import MemoryJournal
from eddyline.threads import FILES
from eddyline.wire import sse
from eddyline_logs.files.place import Place, source_key
from eddyline_logs.reading import snapshots
from eddyline_logs.reading.backlog import Backlog, Limits, last_lines
from eddyline_logs.reading.file_chain import Followable
from eddyline_logs.reading.page_reader import IN_FILES, PageReader
from eddyline_logs.reading.published import Published
from eddyline_logs.reading.tail import Tail
from eddyline_logs.reading.tails import Tails

#: The sequence of a head that is not reached yet.
_MORE = Cursor("more", -2)


class LogJournal(MemoryJournal):
    """The newest lines of all sources in memory; older ones are read from their files."""

    history: "History"

    async def read(self, after: Cursor | None, limit: int, interest: Interest = EVERYTHING) -> Page:
        if after is not None and after.sequence == IN_FILES:
            return await self.history.read(after)
        return await super().read(after, limit, interest)


class History:
    """Leads clients through the files to the journal: the tail tells where the two meet."""

    def __init__(
        self,
        journal: MemoryJournal,
        source: Callable[[str], Followable],
        tails: Tails,
        limits: Limits,
    ) -> None:
        self._journal = journal
        self._source = source
        self._tails = tails
        self._limits = limits

    async def start(self, id: str, tail: Tail) -> Start:
        """Where a client that has seen the event `id` starts."""
        source = tail.source
        if id == EARLIEST:
            lane = FILES.lane(source.id)
            earliest = await lane.run(snapshots.earliest, source, self._limits.line)
            return cursor_of(earliest, source.id)
        place = _place_of(id, source)
        if place is None:
            return "unknown"
        entry = await self._journal.locate(id)
        if entry is not None and entry.cursor.sequence > tail.since.sequence:
            return entry.cursor
        return cursor_of(place, source.id)

    async def last_lines(
        self, source: Followable, published: Published, count: int
    ) -> tuple[str, bytes, Cursor]:
        """Where a client starts that wants the last lines first: the place, the bytes before them,
        and the cursor.
        """
        chain = source.chain(self._limits.line)
        backlog = await FILES.lane(source.id).run(last_lines, chain, published, count, self._limits)
        place, cursor = published.place, published.cursor
        if backlog.place is not None:
            place, cursor = backlog.place, cursor_of(backlog.place, source.id)
        text = str(place)
        return text, sse.cursor_frame(text) + _short(source, backlog), cursor

    def read_once(self, source: Followable, count: int, after: str | None) -> Iterator[bytes]:
        """The lines that are there at this moment: the last ones, or those after an id. Reads: it
        blocks the thread.
        """
        published = snapshots.take(source, self._limits.line)
        place = None if after is None else _place_of(after, source)
        if after == EARLIEST:
            place = snapshots.earliest(source, self._limits.line)
        elif place is None:
            if after is not None:
                yield unknown(published.place)
            chain = source.chain(self._limits.line)
            backlog = last_lines(chain, published, count, self._limits)
            yield _short(source, backlog)
            place = backlog.place or published.place
        while True:
            reader = PageReader(source, place, published, self._limits.line, live=False)
            reader.read()
            yield b"".join(entry.frame for entry in reader.entries)
            place = reader.place
            if reader.complete or not reader.entries:
                break
        fact = orjson.dumps({"source": source.id}).decode()
        yield sse.encode(fact, event="end", id=f"{place}~")

    async def read(self, after: Cursor) -> Page:
        """Lines of one file, and where the file ends the step to the next, or to the journal."""
        text, _, id = after.epoch.partition(" ")
        tail = await self._tails.get(self._source(id))
        published = tail.published()
        reader = PageReader(tail.source, Place.parse(text), published, self._limits.line)
        await FILES.lane(id).run(reader.read)
        entries = reader.entries
        if reader.complete:
            # The cursor is of the moment before the file was read: later lines follow it.
            entries.append(Entry(published.cursor, "", b"", False, time.time(), ""))
        if not entries:
            return Page([], after, published.cursor)  # the tail's next event wakes the reader
        return Page(entries, after, _MORE)


def cursor_of(place: Place, id: str) -> Cursor:
    return Cursor(f"{place} {id}", IN_FILES)


def unknown(place: Place) -> bytes:
    """The event for a client whose id is none of this source; it goes on at `place`."""
    return sse.encode('{"reason":"unknown"}', event=RESET, id=str(place))


def _place_of(id: str, source: Followable) -> Place | None:
    """The place that an event's id names, if it is one of this source."""
    try:
        place = Place.parse(id.removesuffix("~"))
    except BadCursor:
        return None
    return place if place.source == source_key(source.id) else None


def _short(source: Followable, backlog: Backlog) -> bytes:
    """Says that fewer lines come than were asked for, though there are more."""
    if backlog.skipped == 0:
        return b""
    fact = {"source": source.id, "bytes": backlog.skipped, "reason": "LOGS_BACKLOG_BYTES"}
    return sse.encode(orjson.dumps(fact).decode(), event="gap", id=str(backlog.place))
