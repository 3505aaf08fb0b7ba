"""Lines that are read from their files again: for clients that come back from any place, as after a
restart of the process, or from another one.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import orjson

from eddyline.broadcast.catch_up import Start
from eddyline.errors import BadCursor
from eddyline.journal.base import EVERYTHING, Entry, Interest, Page
from eddyline.journal.cursor import EARLIEST, Cursor
from eddyline.journal.memory import MemoryJournal
from eddyline.threads import FILES
from eddyline.wire import sse
from eddyline_logs.reading import cri
from eddyline_logs.reading.file_chain import FileChain, Followable, Identity
from eddyline_logs.reading.log_file import LogFile
from eddyline_logs.reading.place import Place, find, source_key, successor
from eddyline_logs.reading.tail import Joint, Tail
from eddyline_logs.reading.tails import Tails

#: The sequence of a cursor whose epoch is a place and the id of a source; and of a head that is
#: not reached yet. Entries of the journal count up from 1.
_IN_FILES = -1
_MORE = Cursor("more", -2)


class LogJournal(MemoryJournal):
    """The newest lines of all sources in memory; older ones are read from their files."""

    history: "History"

    async def read(self, after: Cursor | None, limit: int, interest: Interest = EVERYTHING) -> Page:
        if after is not None and after.sequence == _IN_FILES:
            return await self.history.read(after)
        return await super().read(after, limit, interest)


class History:
    """Leads clients through the files to the journal: the tail tells where the two meet."""

    def __init__(
        self,
        journal: MemoryJournal,
        source: Callable[[str], Followable],
        tails: Tails,
        line_limit: int,
    ) -> None:
        self._journal = journal
        self._source = source
        self._tails = tails
        self._line_limit = line_limit

    async def start(self, id: str, tail: Tail) -> Start:
        """Where a client that has seen the event `id` starts."""
        source = tail.source
        if id == EARLIEST:
            lane = FILES.lane(source.id)
            return _cursor(await lane.run(_earliest, source, self._line_limit), source.id)
        try:
            place = Place.parse(id.removesuffix("~"))
        except BadCursor:
            return "unknown"
        if place.source != source_key(source.id):
            return "unknown"
        entry = await self._journal.locate(id)
        if entry is not None and entry.cursor.sequence > tail.since.sequence:
            return entry.cursor
        return _cursor(place, source.id)

    async def read(self, after: Cursor) -> Page:
        """Lines of one file, and where the file ends the step to the next, or to the journal."""
        text, _, id = after.epoch.partition(" ")
        tail = await self._tails.get(self._source(id))
        head, joints = self._journal.head, tail.joints()
        reader = _Reader(tail.source, Place.parse(text), joints, self._line_limit)
        await FILES.lane(id).run(reader.read)
        entries = reader.entries
        if reader.lost:
            entries.append(_entry(head, ""))
        elif reader.joint is not None:
            # The cursor is of the moment before the file was read: later lines follow it.
            entries.append(_entry(joints[reader.joint].cursor, ""))
        elif not entries:
            return Page([], after, head)  # the tail's next event wakes the reader
        return Page(entries, after, _MORE)


@dataclass(slots=True)
class _Reader:
    """Reads a page of one source. It blocks its thread."""

    source: Followable
    place: Place
    joints: dict[Identity, Joint]
    line_limit: int
    entries: list[Entry] = field(default_factory=list)
    #: The file that was read to where the journal goes on.
    joint: Identity | None = None
    #: There is no file from the place on, nor any newer one.
    lost: bool = False

    def read(self) -> None:
        chain = self.source.chain(self.line_limit)
        file = find(chain, self.place) if self.place.inode else None
        if file is None:
            self._skip(chain)
            return
        start = self.place.offset
        if chain.joiner is not None:
            # Another stream's line may have begun before the place.
            start = cri.line_start(file, start, self.line_limit)
        log_file = self._log_file(chain, file, start)
        try:
            self._read_file(chain, log_file)
        finally:
            log_file.close()

    def _read_file(self, chain: FileChain, log_file: LogFile) -> None:
        joint = self.joints.get(log_file.identity)
        end = os.fstat(log_file.file).st_size if joint is None else joint.offset
        while not self.entries and (lines := log_file.read_until(end)) is not None:
            for line in lines:
                if line.end > self.place.offset:
                    self._add(line.json(self.source.id), log_file.place_at(line.end))
        if log_file.offset < end:
            return
        if joint is None:
            self._step(chain, log_file)
        elif joint.left or self.place.offset <= end:
            self.joint = log_file.identity

    def _step(self, chain: FileChain, log_file: LogFile) -> None:
        """To the next file, where there is one."""
        try:
            file = chain.next(log_file.file)
        except (FileNotFoundError, NotADirectoryError):
            return
        if file is not None:
            if (rest := log_file.untold()) is not None:
                self._add(rest.json(self.source.id), log_file.place, "partial")
            self._enter(chain, file, "rotated")

    def _skip(self, chain: FileChain) -> None:
        """To the oldest file that is newer than the place, whose own file is gone."""
        file = successor(chain, self.place)
        facts = {"bytes": None, "reason": "gone"}
        if file is not None:
            self._enter(chain, file, "gap" if self.place.inode else None, **facts)
            return
        self.lost = True
        if self.place.inode:
            nowhere = Place.nowhere(self.place.source, self.place.modified)
            self._add(self._fact(**facts), nowhere, "gap")

    def _enter(self, chain: FileChain, file: int, event: str | None, **facts: object) -> None:
        log_file = self._log_file(chain, file, 0)
        try:
            if event is None:
                self.entries.append(_entry(_cursor(log_file.place, self.source.id), ""))
            else:
                self._add(self._fact(**facts), log_file.place, event)
        finally:
            log_file.close()

    def _log_file(self, chain: FileChain, file: int, start: int) -> LogFile:
        key = self.place.source
        try:
            return LogFile(file, key, self.line_limit, chain.joiner, start=start)
        except OSError:
            os.close(file)
            raise

    def _fact(self, **facts: object) -> str:
        return orjson.dumps({"source": self.source.id, **facts}).decode()

    def _add(self, data: str, place: Place, event: str | None = None) -> None:
        frame = sse.encode(data, event=event, id=str(place))
        self.entries.append(_entry(_cursor(place, self.source.id), self.source.id, frame))


def _earliest(source: Followable, line_limit: int) -> Place:
    """The start of the oldest file that is there."""
    chain, oldest = source.chain(line_limit), None
    for file in chain.files():
        if oldest is not None:
            os.close(oldest)
        oldest = file
    if oldest is None:
        return Place.nowhere(source_key(source.id), time.time_ns())
    log_file = LogFile(oldest, source_key(source.id), line_limit, None)
    log_file.close()
    return log_file.place


def _cursor(place: Place, id: str) -> Cursor:
    return Cursor(f"{place} {id}", _IN_FILES)


def _entry(cursor: Cursor, topic: str, frame: bytes = b"") -> Entry:
    """Without a topic: a step that no client sees."""
    return Entry(cursor, topic, frame, False, time.time(), "")
