"""One stream of a file store, as a process has it in memory: its state, its index, its readers."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from eddyline.store.base import Record, StreamFollower
from eddyline.store.segments.archive import Archive, archived_under
from eddyline.store.segments.loading import Loaded
from eddyline.store.segments.segment import Place, Segment
from eddyline.store.segments.state import Span, StreamState, cursors


class FileStream:
    """A stream that is loaded. `source`: the stream that a fork has its first records of.

    Its state is changed in the event loop alone; `fetch` runs in threads.
    """

    def __init__(
        self, folder: Path, loaded: Loaded, source: Self | None, archive: Archive | None = None
    ) -> None:
        self.folder: Final = folder
        self.loaded: Final = loaded
        self.source: Final[Self | None] = source
        self.followers: tuple[StreamFollower, ...] = ()
        #: Whether another stream may have its key, and its folder.
        self.gone: bool = False
        self._archive = archive
        self._indexing = threading.Lock()

    @property
    def key(self) -> str:
        return self.loaded.key

    @property
    def state(self) -> StreamState:
        """Where the stream is, as far as its writes are as safe as they are to be."""
        return self.loaded.state

    @property
    def last_segment(self) -> Segment:
        return self.loaded.segments[-1]

    def fetch(self, first: int, last: int, limit: int) -> list[bytes]:
        """The records from a sequence on, up to `last` and `limit` bytes, but at least one.

        Raises FileNotFoundError where they were trimmed or deleted in the meantime.
        """
        records: list[bytes] = []
        size = 0
        while first <= last and (not records or size < limit):
            holder, segment, end = self._segment_of(first)
            place = segment.locate(first, min(last, end), limit - size)
            if records and size + place.sizes[0] > limit:
                break
            records += holder.read(segment, place)
            size += sum(place.sizes)
            first += len(place.sizes)
        return records

    def read(self, segment: Segment, place: Place) -> list[bytes]:
        """Records of one of its segments, from the disk or from the archive."""
        try:
            return segment.read(place)
        except FileNotFoundError:
            if self._archive is None:
                raise
        name, size = self.archived_as(segment), sum(place.sizes)
        return place.split(self._archive.read(name, place.offset, size, segment.data_bytes))

    def archive_closed(self) -> None:
        """Moves the records of closed segments to the archive. Raises Unavailable."""
        for segment in self.loaded.segments[:-1]:
            if self._archive is not None and not segment.archived:
                if segment.data.exists():
                    self._archive.put(self.archived_as(segment), segment.data)
                    segment.data.unlink()
                segment.archived = True

    def forget(self, segment: Segment) -> None:
        """Removes a segment of which all records are trimmed."""
        segment.unlink()
        if self._archive is not None:
            self._archive.delete(self.archived_as(segment))

    def archived_as(self, segment: Segment) -> str:
        """The name of a segment's records in an archive."""
        return f"{archived_under(self.key, self.state.life)}/{segment.data.name}"

    def _segment_of(self, sequence: int) -> tuple[Self, Segment, int]:
        """The segment that holds a record, and its stream: this one or one that it was forked from.
        Then the sequence of the last record there that is this stream's.
        """
        base = self.state.base.sequence
        if self.source is not None and sequence <= base:
            holder, segment, last = self.source._segment_of(sequence)
            return holder, segment, min(last, base)
        for segment in reversed(self.loaded.segments):
            if segment.first <= sequence:
                self._index(segment)
                return self, segment, segment.next - 1
        raise FileNotFoundError(f"the record {sequence} of the stream {self.key[:80]!r} is trimmed")

    def _index(self, segment: Segment) -> None:
        """Reads the log of a segment that is closed, once."""
        with self._indexing:
            if not segment.log_bytes:
                segment.index()

    def deliver(self, first: int, datas: Sequence[bytes]) -> None:
        """Tells its followers of records, and of its end."""
        if self.followers and datas:
            records = records_of(self.state.spans, first, datas)
            for follower in self.followers:
                follower.deliver(records)
        self._tell_end()

    def _tell_end(self) -> None:
        if self.state.end is not None:
            for follower in self.followers:
                follower.ended(self.state.end)

    def let_go(self) -> None:
        """The stream is gone: its followers are told, where they do not know of its end."""
        self.gone = True
        followers, self.followers = self.followers, ()
        if self.state.end is None:
            for follower in followers:
                follower.ended(None)

    @contextmanager
    def followed(self, follower: StreamFollower) -> Iterator[None]:
        """Tells a follower of all that is new, and of the end."""
        follower.skip(self.state.head)
        if self.state.end is not None:
            follower.ended(self.state.end)
        self.followers += (follower,)
        try:
            yield
        finally:
            self.followers = tuple(each for each in self.followers if each is not follower)


def records_of(spans: Sequence[Span], first: int, datas: Sequence[bytes]) -> list[Record]:
    """The records of a stream from a sequence on."""
    places = cursors(spans, first, len(datas))
    return [Record(*pair) for pair in zip(places, datas, strict=True)]
