"""A tail follows one source as `tail -F` does, and publishes its lines to the journal for all of
its readers.

It polls: that works on every file system, and shows the rotations of every tool.
"""

import asyncio
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import orjson

from eddyline.journal.base import Entry, NewEntry
from eddyline.journal.cursor import Cursor
from eddyline.journal.memory import MemoryJournal
from eddyline.wire import sse
from eddyline_logs.reading import backlog, cri
from eddyline_logs.reading.file_chain import Followable, Identity, identity
from eddyline_logs.reading.lines import Line
from eddyline_logs.reading.log_file import LogFile
from eddyline_logs.reading.place import Place, find, source_key

_log = logging.getLogger(__name__)

#: Seconds: between looks at the file; after a fault of the disk.
POLL = 0.15
FAULT_PAUSE = 1.0

#: Seconds without a new byte for which a rotated file is still read: its writers may not have
#: noticed yet. A deleted file takes up space of the disk as long as it is open.
ROTATE_WAIT = 60.0
DELETED_WAIT = 5.0

#: Seconds without a new byte after which a line without an end is told.
PARTIAL_WAIT = 1.0

#: Lines published in one turn of the loop.
_TURN = 256

State = Literal["reading", "waiting", "unreadable"]


@dataclass(frozen=True, slots=True)
class ReadPosition:
    """The place up to which a file is published: the offset `end` of the descriptor `file`, which
    is the caller's to close.
    """

    file: int
    end: int


class Joint(NamedTuple):
    """Where the journal goes on with a file: after `cursor` come the lines after `offset`. `left`:
    the offset is final, for a newer file has been published from.
    """

    offset: int
    cursor: Cursor
    left: bool


class Tail:
    """Once `run`, it goes on; a client that resumes misses nothing that came while it was away."""

    def __init__(self, source: Followable, journal: MemoryJournal, line_limit: int) -> None:
        self.source = source
        self.state: State = "reading"
        #: The journal has all lines of the source after this, and perhaps not those before.
        self.since = journal.head
        self._journal = journal
        self._line_limit = line_limit
        self._chain = source.chain(line_limit)
        self._key = source_key(source.id)
        self._nowhere = Place.nowhere(self._key, time.time_ns())
        self._look_again = 0.0
        self._current: LogFile | None = None
        self._rotated: list[LogFile] = []
        #: The newest file of which anything was published, and where the journal left older ones.
        self._front: LogFile | None = None
        self._left: dict[Identity, Joint] = {}
        # A file that was there before us is followed from its end, one that comes later from its
        # start.
        self._from_end = True
        self._open()

    @property
    def place(self) -> Place:
        """The place after the last line that was published."""
        return self._nowhere if self._front is None else self._front.place

    @property
    def head(self) -> Cursor:
        """The journal's newest entry, which may be of another source."""
        return self._journal.head

    @property
    def has_file(self) -> bool:
        return self._current is not None

    def read_position(self) -> ReadPosition | None:
        """The place up to which the file is published, which is the journal's head at this moment;
        None where there is no file.
        """
        if self._current is None:
            return None
        return ReadPosition(os.dup(self._current.file), self._current.place.offset)

    def joints(self) -> dict[Identity, Joint]:
        """Where the journal goes on with each file that is held."""
        held = [*self._rotated, *([] if self._current is None else [self._current])]
        head = self._journal.head
        return {
            file.identity: self._left.get(file.identity, Joint(file.place.offset, head, False))
            for file in held
        }

    def announcement(self) -> bytes:
        """The event that a client which comes now must see first; empty where all is well."""
        return b"" if self.state == "reading" else sse.encode(self._fact(), event=self.state)

    async def run(self) -> None:
        """Follows the source until it is cancelled. Then `close` the tail."""
        while True:
            try:
                if not await self._step():
                    await asyncio.sleep(POLL)
            except OSError as error:
                self._become("unreadable", error)
                await asyncio.sleep(FAULT_PAUSE)

    def close(self) -> None:
        for log_file in self._rotated:
            log_file.close()
        if self._current is not None:
            self._current.close()

    async def _step(self) -> bool:
        """Whether there may be more to do at once."""
        # Rotated files come first, and to their ends: their lines are older than those of their
        # successor.
        if await self._read_rotated():
            return True
        if self._current is not None and await self._read(self._current):
            return True
        if time.monotonic() < self._look_again:
            return False
        self._look_again = time.monotonic() + self._chain.interval
        return self._open() if self._current is None else await self._look(self._current)

    async def _read(self, log_file: LogFile) -> bool:
        lines = await log_file.read()
        if lines is not None:
            await self._publish(log_file, lines)
            return True
        if time.monotonic() - log_file.grown > PARTIAL_WAIT:
            self._tell_partial(log_file)
        return False

    async def _publish(self, log_file: LogFile, lines: Iterator[Line]) -> None:
        for count, line in enumerate(lines, 1):
            # No await between these two: `read_position` relies on it.
            id = self._pass(log_file, log_file.place_at(line.end))
            self._append(line.json(self.source.id), id=id)
            if count % _TURN == 0:
                await asyncio.sleep(0)

    def _pass(self, log_file: LogFile, place: Place) -> str:
        """Moves on to the place; returns the id of the line before it."""
        log_file.place = place
        if log_file.identity in self._left:
            return self._here()  # a late line, of a writer that has not noticed the rotation
        if log_file is not self._front:
            for older in self._rotated:
                if older is log_file:
                    break
                joint = Joint(older.place.offset, self._journal.head, True)
                self._left.setdefault(older.identity, joint)
            self._front = log_file
        return str(place)

    def _here(self) -> str:
        """The id of an event that stands at the place of the last line."""
        return f"{self.place}~"

    async def _look(self, current: LogFile) -> bool:
        """At the end of a file, looks whether it was truncated or has a successor."""
        if current.truncated:
            self._begin_anew(current)
            return True
        try:
            file = self._chain.next(current.file)
        except (FileNotFoundError, NotADirectoryError):
            self._become("waiting")
            return False
        self._become("reading")
        if file is None:
            return False
        self._current = self._reclaim(self._log_file(file))
        current.grown = time.monotonic()
        self._rotated.append(current)
        if current.joiner is not None and current.joiner is not self._chain.joiner:
            for line in current.joiner.rest():
                self._append(line.json(self.source.id), id=self._here())
        self._tell("rotated")
        return True

    def _begin_anew(self, current: LogFile) -> None:
        """Reads a file that was truncated from its start, after the rest of its copy."""
        read, place = current.offset, current.place
        copy = find(self._chain, place)
        if copy is None:
            self._tell_partial(current)
        current.restart()
        if copy is not None:
            self._hold_copies(copy, place, current)
        self._tell("truncated", bytes=read, copied=copy is not None)

    def _hold_copies(self, file: int, place: Place, current: LogFile) -> None:
        """The copy of a file that was truncated, and those of later truncations, come first."""
        start, following = place.offset, file
        while identity(os.fstat(following)) != current.identity:
            copy = self._log_file(following, start)
            if start:
                self._front = copy
            self._rotated.append(copy)
            start, after = 0, self._chain.next(following)
            if after is None:
                return
            following = after
        os.close(following)

    def _open(self) -> bool:
        try:
            file = self._chain.first(newest=self._from_end)
        except (FileNotFoundError, NotADirectoryError):
            self._from_end = False
            self._become("waiting")
            return False
        except OSError as error:
            self._become("unreadable", error)
            return False
        start = self._line_start(file) if self._from_end else 0
        self._current = self._reclaim(self._log_file(file, start))
        if self._from_end:
            self._front = self._current
        self._from_end = False
        self._become("reading")
        return True

    def _line_start(self, file: int) -> int:
        line_start = backlog.line_start if self._chain.joiner is None else cri.line_start
        return line_start(file, os.fstat(file).st_size, self._line_limit)

    def _log_file(self, file: int, start: int = 0) -> LogFile:
        try:
            return LogFile(file, self._key, self._line_limit, self._chain.joiner, start=start)
        except OSError:
            os.close(file)
            raise

    def _reclaim(self, log_file: LogFile) -> LogFile:
        """The log file of the same identity that is still held, if any: when a name is swapped
        back, the lines of the file were published already.
        """
        for held in self._rotated:
            if held.identity == log_file.identity:
                self._rotated.remove(held)
                self._left.pop(held.identity, None)
                log_file.close()
                return held
        return log_file

    async def _read_rotated(self) -> bool:
        more = False
        for log_file in list(self._rotated):
            if await self._read(log_file):
                more = True
                continue
            wait = DELETED_WAIT if log_file.deleted else ROTATE_WAIT
            if time.monotonic() - log_file.grown > wait:
                self._tell_partial(log_file)
                self._rotated.remove(log_file)
                self._close(log_file)
        return more

    def _close(self, log_file: LogFile) -> None:
        self._left.pop(log_file.identity, None)
        log_file.close()

    def _become(self, state: State, error: OSError | None = None) -> None:
        if state == self.state:
            return
        self.state = state
        if state != "reading":
            _log.info("source %s is %s: %s", self.source.id, state, error or "no such file")
        self._tell(state)

    def _tell_partial(self, log_file: LogFile) -> None:
        """Tells a line without an end, once at each length. If it is finished, it comes whole."""
        line = log_file.untold()
        if line is not None:
            self._append(line.json(self.source.id), event="partial", id=self._here())

    def _tell(self, event: str, **facts: object) -> None:
        self._append(self._fact(**facts), event=event, id=self._here())

    def _append(self, data: str, *, id: str, event: str | None = None) -> Entry:
        return self._journal.append_now(NewEntry(self.source.id, data, event=event, id=id))

    def _fact(self, **facts: object) -> str:
        return orjson.dumps({"source": self.source.id, **facts}).decode()
