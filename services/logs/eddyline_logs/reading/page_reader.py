"""One page of a source's lines, read from its files."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

import orjson

from eddyline.journal.base import Entry
from eddyline.journal.cursor import Cursor
from eddyline.wire import sse
from eddyline_logs.files.base import File, read_range
from eddyline_logs.files.place import OLDER, Place, Spot, spot_of
from eddyline_logs.lines import cri
from eddyline_logs.lines.lines import Line
from eddyline_logs.reading.file_chain import FileChain, Followable, find, successor
from eddyline_logs.reading.log_file import LogFile
from eddyline_logs.reading.published import Published
from eddyline_logs.reading.tail import PARTIAL_WAIT

#: The sequence of a cursor whose epoch is a place and the id of a source. Entries of the journal
#: count up from 1.
IN_FILES = -1

#: Bytes of frames in a page, about.
_PAGE = 32 * 1024


@dataclass(slots=True)
class PageReader:
    """Reads a page. It blocks its thread.

    `published`: where it has to stop: there the journal goes on, or the answer ends.
    """

    source: Followable
    place: Place
    published: Published
    line_limit: int
    #: Whether a tail will tell of an unfinished line, once nobody writes to it for a while.
    live: bool = True
    entries: list[Entry] = field(default_factory=list)
    #: Whether all was read up to `published`.
    complete: bool = False
    #: Whether the place is after `published`, which has to come up to it.
    _ahead: bool = False
    _size: int = 0

    def read(self) -> None:
        chain = self.source.chain(self.line_limit)
        if not self.place.spot.offset:
            # Lines that came to the older file before its successor was seen come first.
            self._read_older(chain)
        if self._full:
            return
        file = self._find(chain)
        if file is not None:
            self._read_main(chain, file)
        else:
            self._skip(chain)

    def _find(self, chain: FileChain) -> File | None:
        """The file of the place. One that is gone may be held by the tail."""
        spot = self.place.spot
        if not spot.inode:
            return None
        return find(chain, spot) or self.published.held(spot)

    def _read_main(self, chain: FileChain, file: File) -> None:
        # It may be a copy: a truncated file with the inode of the place is another one by now.
        self.place = self.place._replace(spot=self.place.spot._replace(inode=file.identity[1]))
        log_file = self._log_file(file, self.place.spot.offset, chain.joiner)
        try:
            if chain.joiner is not None and not self.place.spot.offset:
                self._prime(chain, chain.joiner)
            self._read_file(chain, log_file)
        finally:
            log_file.close()

    @property
    def _full(self) -> bool:
        return self._size >= _PAGE

    def _read_older(self, chain: FileChain) -> None:
        for spot in reversed(self.place.older):
            self._read_late(chain, spot)

    def _read_late(self, chain: FileChain, spot: Spot) -> None:
        """Lines that were written to a file after its rotation."""
        if spot.inode == self.place.spot.inode:
            return
        if (file := find(chain, spot)) is None:
            self._forget_older(spot)
            return
        joiner = None if chain.joiner is None else cri.Joiner(self.line_limit)
        log_file = self._log_file(file, spot.offset, joiner)

        def place_at(new: Spot) -> Place:
            nonlocal spot
            self._replace_older(spot, new)
            spot = new
            return self.place

        try:
            self._read_lines(log_file, spot.offset, place_at)
        finally:
            log_file.close()

    def _replace_older(self, spot: Spot, new: Spot) -> None:
        older = tuple(new if known == spot else known for known in self.place.older)
        self.place = self.place._replace(older=older)

    def _forget_older(self, spot: Spot) -> None:
        # The first is the file just before that of the place, and no other one stands for it.
        rest = self.place.older[: self.place.older.index(spot)]
        self.place = self.place._replace(older=rest)

    def _prime(self, chain: FileChain, joiner: cri.Joiner) -> None:
        """Lines that the file before left unfinished go on in this one."""
        if self.place.older and (file := find(chain, self.place.older[0])) is not None:
            log_file = self._log_file(file, self.place.older[0].offset, joiner)
            while (lines := log_file.read_until(None)) is not None:
                list(lines)
            log_file.close()

    def _read_file(self, chain: FileChain, log_file: LogFile) -> None:
        before = self.place
        source, _, spot, older = before

        def place_at(spot: Spot) -> Place:
            return Place(source, log_file.modified, spot, older)

        count = len(self.entries)
        self._read_lines(log_file, spot.offset, place_at)
        if not spot.offset and (missed := self._missed(chain, log_file)) is not None:
            with closing(missed):
                self.place, self._size = before, 0
                del self.entries[count:]
                self._enter(missed, None)
                self._tell("rotated")
            return
        if self._full or self._ahead:
            return
        if log_file.identity == self.published.front:
            self._read_older(chain)
            if not self._full and not self._ahead and self.published.is_current(log_file.file):
                self.complete = True
                self._add_rest(log_file)
        else:
            self._step(chain, log_file)

    def _read_lines(self, log_file: LogFile, start: int, place_at: Callable[[Spot], Place]) -> None:
        """The lines that end after `start`, as far as they are published."""
        end = self.published.end(log_file.file)
        self._ahead |= end is not None and start > end
        while not self._full and (lines := log_file.read_until(end)) is not None:
            for line in lines:
                if line.end > start and not self._full:
                    self.place = place_at(log_file.spot_at(line.end))
                    self._add(line.json(self.source.id))

    def _add_rest(self, log_file: LogFile) -> None:
        """The unfinished line at the end: others have been told of it before."""
        idle = time.time() - log_file.file.status().st_mtime
        if log_file.joiner is not None or (self.live and idle < PARTIAL_WAIT):
            return
        rest = read_range(log_file.file, self.place.spot.offset, self.line_limit + 1)
        if rest and b"\n" not in rest:
            cut = len(rest) > self.line_limit
            line = Line(rest[: self.line_limit], cut, 0, partial=True)
            self._add(line.json(self.source.id), "partial")

    def _step(self, chain: FileChain, log_file: LogFile) -> None:
        """To the next file, where there is one."""
        try:
            file = chain.next(log_file.file)
        except (FileNotFoundError, NotADirectoryError):
            # The tail waits for a file, and reads it from its start.
            self.complete = self.published.front is None
            return
        if file is None:
            return
        with closing(file):
            if (rest := log_file.untold()) is not None and log_file.joiner is None:
                self._add(rest.json(self.source.id), "partial")
            if (lost := log_file.file.lost) is not None:
                self._tell("gap", bytes=lost.bytes, reason=lost.reason)
            self._enter(file, self.place.spot)
            self._tell("rotated")

    def _skip(self, chain: FileChain) -> None:
        """To the file that follows the one of the place, which is gone."""
        file = self._after_older(chain) or successor(chain, self.place)
        if file is None:
            # Where there is no file at all, that of the place may come back, as with its folder.
            self.complete = not self.place.spot.inode
            return
        if (again := self._find(chain)) is not None:
            file.close()
            self._read_main(chain, again)  # it was renamed while it was looked for
            return
        with closing(file):
            self._tell_gone(file)
        # A step that no client sees.
        cursor = Cursor(f"{self.place} {self.source.id}", IN_FILES)
        self.entries.append(Entry(cursor, "", b"", False, 0.0, ""))

    def _tell_gone(self, file: File) -> None:
        spot = self.place.spot
        self._enter(file, None)
        if spot.inode and not (file.compressed and not spot.offset):
            end = self.published.ends.get(spot.inode)
            lost = None if end is None else max(0, end - spot.offset)
            if lost != 0:
                self._tell("gap", bytes=lost, reason="gone")

    def _missed(self, chain: FileChain, log_file: LogFile) -> File | None:
        """The copy of all that was in a file, where it was truncated before any of it was read."""
        file = self._after_older(chain)
        if file is not None and file.identity == log_file.identity:
            file.close()
            return None
        return file

    def _after_older(self, chain: FileChain) -> File | None:
        """The file that follows the one before the place."""
        if not self.place.older or (file := find(chain, self.place.older[0])) is None:
            return None
        with closing(file):
            try:
                return chain.next(file)
            except (FileNotFoundError, NotADirectoryError):
                return None

    def _enter(self, file: File, left: Spot | None) -> None:
        """The start of the next file; one that has its name back is read on."""
        older = self.place.older if left is None else (left, *self.place.older)
        same = (spot for spot in older if spot.inode == file.identity[1] and spot.is_in(file))
        known = next(same, None)
        spot = known or spot_of(file, 0)
        older = tuple(other for other in older if other is not known)[:OLDER]
        self.place = Place(self.place.source, file.status().st_mtime_ns, spot, older)

    def _log_file(self, file: File, start: int, joiner: cri.Joiner | None) -> LogFile:
        try:
            if joiner is not None:
                # Another stream's line may have begun before the place.
                start = cri.line_start(file, start, self.line_limit)
            return LogFile(file, self.line_limit, joiner, start=start)
        except OSError:
            file.close()
            raise

    def _tell(self, event: str, **facts: object) -> None:
        self._add(orjson.dumps({"source": self.source.id, **facts}).decode(), event)

    def _add(self, data: str, event: str | None = None) -> None:
        text, id = str(self.place), self.source.id
        frame = sse.encode(data, event=event, id=text)
        self._size += len(frame)
        cursor = Cursor(f"{text} {id}", IN_FILES)
        self.entries.append(Entry(cursor, id, frame, False, 0.0, ""))
