"""Where the last lines of a log begin, found from its end backwards. It blocks the thread."""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass

from eddyline_logs.files.base import File, read_range
from eddyline_logs.files.place import Place, spot_of
from eddyline_logs.lines import cri
from eddyline_logs.reading.file_chain import FileChain
from eddyline_logs.reading.published import Published

_BLOCK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes: those of a line, and those that are looked at backwards."""

    line: int
    room: int


@dataclass(slots=True)
class Backlog:
    """`place`: that before the last lines; None where there is no file. `skipped`: bytes before it
    that the limit left out, though there were fewer lines; None where nobody knows how many.
    """

    place: Place | None = None
    lines: int = 0
    skipped: int | None = 0

    def skip(self, size: int | None) -> None:
        known = self.skipped is not None and size is not None
        self.skipped = (self.skipped or 0) + (size or 0) if known else None


def last_lines(chain: FileChain, published: Published, count: int, limits: Limits) -> Backlog:
    """The place before the last `count` lines that are published, in older files where the newest
    has too few.
    """
    found, room = Backlog(), limits.room
    with closing(_published(chain, published)) as files:
        for file in files:
            if found.lines == count:
                break
            if room <= 0:
                found.skip(file.end())
                continue
            end = published.end(file)
            end = _length(file) if end is None else min(end, file.end() or 0)
            marks = _marks(chain, file, end, count - found.lines, Limits(limits.line, room))
            found.lines += len(marks) - 1
            found.place = _place(published, file, marks[0])
            room -= end - marks[0]
            if marks[0] and found.lines < count:
                found.skipped, room = marks[0], 0
    return found


def _published(chain: FileChain, published: Published) -> Generator[File, None, None]:
    """The files of which anything is published, the newest first."""
    reached = published.front is None
    with closing(chain.files()) as files:
        for file in files:
            with closing(file):
                reached |= file.identity == published.front
                if reached and file.lost is None:
                    yield file


def _place(published: Published, file: File, start: int) -> Place:
    older = published.place.older if file.identity == published.front else ()
    return Place(published.place.source, file.status().st_mtime_ns, spot_of(file, start), older)


def _marks(chain: FileChain, file: File, end: int, count: int, limits: Limits) -> list[int]:
    """The starts of the last `count` lines before the offset `end`, and the end of the last one;
    the end alone where there is none.
    """
    if chain.joiner is None:
        marks = _line_ends(file, end, count + 1, limits.room)
    else:
        marks = cri.line_ends(file, end, count + 1, limits.room, limits.line)
    return marks or [end]


def _line_ends(file: File, end: int, count: int, room: int) -> list[int]:
    """The last `count` offsets up to `end` at which a line ends, or the file begins. They reach
    further back than `room` where that has no whole line.
    """
    # To go back in a compressed file is to unpack it again.
    most = room if file.compressed else _BLOCK
    ends: list[int] = []
    at = end
    while at > 0 and len(ends) < count and (end - at < room or len(ends) < 2):
        size = min(most, at)
        at -= size
        block = read_range(file, at, size)
        found = len(block)
        while len(ends) < count and (found := block.rfind(b"\n", 0, found)) >= 0:
            ends.append(at + found + 1)
    if at == 0 and len(ends) < count:
        ends.append(0)
    return ends[::-1]


def _length(file: File) -> int:
    """The bytes of a compressed file."""
    length = 0
    while data := file.pread(_BLOCK, length):
        length += len(data)
    return length


def line_start(file: File, end: int, limit: int) -> int:
    """Where the unfinished line at the offset `end` begins, at most `limit` bytes before it."""
    start = max(0, end - limit)
    data = read_range(file, start, end - start)
    return start + data.rfind(b"\n") + 1
