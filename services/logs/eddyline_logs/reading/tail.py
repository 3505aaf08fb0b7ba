"""A tail follows one source as `tail -F` does, and publishes its lines to the journal for all of
its readers.

It polls: that works on every file system, and shows the rotations of every tool. Where the system
tells of changes it looks at once, and polls seldom.
"""

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Literal

import orjson

from eddyline.journal.base import Entry, NewEntry
from eddyline.journal.memory import MemoryJournal
from eddyline.wire import sse
from eddyline_logs.files.base import File, is_copy
from eddyline_logs.files.place import OLDER, Place, Spot, source_key
from eddyline_logs.files.watches import Waker, Watches
from eddyline_logs.lines import cri
from eddyline_logs.lines.lines import Line
from eddyline_logs.reading import backlog
from eddyline_logs.reading.file_chain import Followable, find, successor
from eddyline_logs.reading.log_file import LogFile
from eddyline_logs.reading.published import Published

_log = logging.getLogger(__name__)

#: Seconds between looks at the file.
POLL = 0.15
#: The most of them where the system tells of changes.
IDLE = 15.0
#: Seconds in which lines that follow others are read together.
LINGER = 0.003

#: Seconds after a fault of the disk.
FAULT_PAUSE = 1.0

#: Changes that only the poll finds, after which a tail no longer relies on being told.
_UNTOLD = 1

#: Seconds without a new byte for which a rotated file is still read: its writers may not have
#: noticed yet. A deleted file takes up space of the disk as long as it is open.
ROTATE_WAIT = 600.0
DELETED_WAIT = 30.0

#: Seconds without a new byte after which a line without an end is told.
PARTIAL_WAIT = 1.0

#: Lines published in one turn of the loop.
_TURN = 256

#: Files whose ends are remembered once they are gone.
_ENDS = 64

State = Literal["reading", "waiting", "unreadable"]


class Tail:
    """Once `run`, it goes on; a client that resumes misses nothing that came while it was away."""

    def __init__(
        self,
        source: Followable,
        journal: MemoryJournal,
        line_limit: int,
        watches: Watches | None = None,
    ) -> None:
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
        #: Files before the current one, the oldest first.
        self._rotated: list[LogFile] = []
        #: The newest file of which anything was published.
        self._front: LogFile | None = None
        #: The spots of files before that one, as they stand in places, the newest first.
        self._older: tuple[Spot, ...] = ()
        self._ends: dict[int, int] = {}
        self._waker = Waker(watches or Watches(), source.folder)
        self._pause = POLL
        self._untold = 0
        self._polled = False
        self._read_at = 0.0
        # A file that was there before us is followed from its end, one that comes later from its
        # start.
        self._from_end = True
        self._open()

    @property
    def place(self) -> Place:
        """The place after the last line that was published."""
        if self._front is None:
            return self._nowhere
        return self._place_at(self._front.spot)

    @property
    def has_file(self) -> bool:
        return self._current is not None

    def published(self) -> Published:
        front = None if self._front is None else self._front.identity
        held = self._held()
        spots = {log_file.identity: log_file.spot for log_file in held}
        plain = (log_file for log_file in held if not log_file.file.compressed)
        numbers = {log_file.identity[1]: log_file.file.descriptor for log_file in plain}
        return Published(self._journal.head, self.place, front, spots, dict(self._ends), numbers)

    def announcement(self, id: str | None) -> bytes:
        """The event that a client which comes now must see first, with the place from which that
        client goes on; empty where all is well.
        """
        return b"" if self.state == "reading" else sse.encode(self._fact(), event=self.state, id=id)

    async def run(self) -> None:
        """Follows the source until it is cancelled. Then `close` the tail."""
        while True:
            try:
                if await self._step():
                    self._note_change()
                else:
                    await self._rest()
            except OSError as error:
                self._become("unreadable", error)
                await asyncio.sleep(FAULT_PAUSE)

    def _note_change(self) -> None:
        self._read_at = time.monotonic()
        self._untold += self._polled
        self._polled = False
        self._pause = POLL

    async def _rest(self) -> None:
        """Waits until there may be something to do."""
        plain = (log_file for log_file in self._held() if not log_file.file.compressed)
        if self._waker.watch({held.identity: held.file.descriptor for held in plain}):
            return  # it may have changed before it was watched
        relies = self._waker.works and self._untold < _UNTOLD
        woken = await self._waker.wait(self._pause if relies else POLL)
        self._polled = relies and not woken
        if woken:
            self._pause = POLL
            early = self._read_at + LINGER - time.monotonic()
            if early > 0:
                await asyncio.sleep(early)
        else:
            self._pause = min(2 * self._pause, self._chain.interval or IDLE)

    def close(self) -> None:
        self._waker.close()
        for log_file in self._held():
            log_file.close()

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
        start = log_file.offset
        lines = await log_file.read()
        if lines is not None:
            if not start and self._has_missed(log_file):
                return True
            await self._publish(log_file, lines)
            return True
        if time.monotonic() - log_file.grown > PARTIAL_WAIT:
            self._tell_partial(log_file)
        return False

    def _has_missed(self, current: LogFile) -> bool:
        """Whether a file was truncated before any of it was read: its copy comes first."""
        if current is not self._current or not self._rotated:
            return False
        try:
            missed = self._chain.next(self._rotated[-1].file)
            latest = self._chain.next(current.file)
        except (FileNotFoundError, NotADirectoryError):
            return False
        if latest is not None:
            latest.close()
        if missed is None or latest is not None or missed.identity == current.identity:
            if missed is not None:
                missed.close()
            return False
        current.restart()
        self._rotated.append(self._log_file(missed))
        self._note_older()
        self._tell("rotated")
        return True

    async def _publish(self, log_file: LogFile, lines: Iterator[Line]) -> None:
        for count, line in enumerate(lines, 1):
            # No await between these two: `published` relies on it.
            self._pass(log_file, log_file.spot_at(line.end))
            self._append(line.json(self.source.id), id=str(self.place))
            if count % _TURN == 0:
                await asyncio.sleep(0)

    def _held(self) -> list[LogFile]:
        """The files that are open, the oldest first."""
        return [*self._rotated, *([] if self._current is None else [self._current])]

    def _pass(self, log_file: LogFile, spot: Spot) -> None:
        """Moves on to the spot of a line."""
        log_file.spot = spot
        if log_file is not self._front:
            # An older file has a late line, of a writer that has not noticed the rotation.
            if self._front is None or log_file not in self._before(self._front):
                self._front = log_file
            self._note_older()

    def _before(self, log_file: LogFile) -> list[LogFile]:
        """The files that are held and older than this one."""
        held = self._held()
        return held[: held.index(log_file)]

    def _note_older(self) -> None:
        if self._front is None:
            return
        older = self._before(self._front)[-OLDER:]
        self._older = tuple(log_file.spot for log_file in reversed(older))

    def _place_at(self, spot: Spot) -> Place:
        assert self._front is not None
        return Place(self._key, self._front.modified, spot, self._older)

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
        self._tell_lost(current)
        self._current = self._reclaim(self._log_file(file))
        current.grown = time.monotonic()
        self._rotated.append(current)
        # All that is still written to the old file is late from now on.
        self._front = self._current
        self._note_older()
        if current.joiner is not None and current.joiner is not self._chain.joiner:
            for line in current.joiner.rest():
                self._append(line.json(self.source.id), id=self._here())
        self._tell("rotated")
        return True

    def _begin_anew(self, current: LogFile) -> None:
        """Reads a file that was truncated from its start, after the rest of its copy."""
        read, seen, spot = current.offset, current.seen, current.spot
        copy = find(self._chain, spot)
        if copy is None:
            self._tell_partial(current)
            self._note_end(current)
        current.restart()
        if copy is not None:
            self._hold_copies(copy, spot, current)
        self._note_older()
        lost = 0 if copy is not None else max(0, seen - read)
        self._tell("truncated", bytes=read, copied=copy is not None, lost=lost)

    def _hold_copies(self, file: File, spot: Spot, current: LogFile) -> None:
        """The copy of a file that was truncated, and those of later truncations, come first."""
        start, following = spot.offset, file
        while following.identity != current.identity:
            copy = self._log_file(following, start)
            self._rotated.append(copy)
            if start:
                self._front = copy
            start, after = 0, self._chain.next(following)
            if after is None:
                return
            following = after
        following.close()

    def _open(self) -> bool:
        try:
            file = self._chain.first() if self._from_end else self._oldest()
        except (FileNotFoundError, NotADirectoryError):
            self._from_end = False
            self._become("waiting")
            return False
        except OSError as error:
            self._become("unreadable", error)
            return False
        start = self._line_start(file) if self._from_end else 0
        self._current = self._front = self._reclaim(self._log_file(file, start))
        if self._from_end:
            self._hold_newest_rotated(self._current)
        self._from_end = False
        self._note_older()
        self._become("reading")
        return True

    def _oldest(self) -> File:
        """The first file that has come since there was none."""
        return successor(self._chain, self._nowhere) or self._chain.first()

    def _hold_newest_rotated(self, current: LogFile) -> None:
        """A writer may not have noticed the last rotation: its lines are read from here on."""
        with closing(self._chain.files()) as files:
            for file in files:
                idle = time.time() - file.status().st_mtime
                if file.identity == current.identity:
                    file.close()
                elif file.compressed or idle > ROTATE_WAIT or is_copy(file, current.file):
                    file.close()
                    return
                else:
                    self._rotated.append(self._log_file(file, self._line_start(file)))
                    return

    def _line_start(self, file: File) -> int:
        line_start = backlog.line_start if self._chain.joiner is None else cri.line_start
        return line_start(file, file.end() or 0, self._line_limit)

    def _log_file(self, file: File, start: int = 0) -> LogFile:
        try:
            return LogFile(file, self._line_limit, self._chain.joiner, start=start)
        except OSError:
            file.close()
            raise

    def _reclaim(self, log_file: LogFile) -> LogFile:
        """The log file of the same identity that is still held, if any: when a name is swapped
        back, the lines of the file were published already.
        """
        for held in self._rotated:
            if held.identity == log_file.identity:
                self._rotated.remove(held)
                log_file.close()
                return held
        return log_file

    async def _read_rotated(self) -> bool:
        more = False
        for log_file in list(self._rotated):
            if await self._read(log_file):
                more = True
            elif time.monotonic() - log_file.grown > _patience(log_file):
                self._let_go(log_file)
        return more

    def _let_go(self, log_file: LogFile) -> None:
        self._tell_partial(log_file)
        self._tell_lost(log_file)
        if log_file is self._front:
            held = self._held()
            self._front = held[held.index(log_file) + 1] if log_file is not held[-1] else None
        self._rotated.remove(log_file)
        if log_file.deleted:
            self._note_end(log_file)
        self._note_older()
        log_file.close()

    def _note_end(self, log_file: LogFile) -> None:
        """Clients that come back from before it are told how many bytes they miss."""
        self._ends[log_file.identity[1]] = max(log_file.seen, log_file.offset)
        for inode in list(self._ends)[:-_ENDS]:
            del self._ends[inode]

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

    def _tell_lost(self, log_file: LogFile) -> None:
        """Tells of bytes of a file that nobody can read, once."""
        if (lost := log_file.file.lost) is not None:
            log_file.file.lost = None
            self._tell("gap", bytes=lost.bytes, reason=lost.reason)

    def _tell(self, event: str, **facts: object) -> None:
        self._append(self._fact(**facts), event=event, id=self._here())

    def _append(self, data: str, *, id: str, event: str | None = None) -> Entry:
        return self._journal.append_now(NewEntry(self.source.id, data, event=event, id=id))

    def _fact(self, **facts: object) -> str:
        return orjson.dumps({"source": self.source.id, **facts}).decode()


def _patience(log_file: LogFile) -> float:
    """Seconds without a new byte after which a rotated file is closed."""
    if log_file.replaced:
        return 0.0
    short = log_file.deleted or log_file.file.compressed
    return DELETED_WAIT if short else ROTATE_WAIT
