"""A stream that another process writes, and the writes that are new in it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from eddyline.errors import NotFound
from eddyline.store.files.catalog import folder_of, used_at
from eddyline.store.segments.archive import Archive
from eddyline.store.segments.loading import New, find_new, load, note, read_committed
from eddyline.store.segments.segment import Place, opened
from eddyline.store.segments.stream import FileStream

#: Bytes that followers are handed at once; where there is more that is new, they read it.
MOST = 1024 * 1024


@dataclass(frozen=True, slots=True)
class News:
    """Writes, and the records of all of them where these are to be handed to followers."""

    writes: Sequence[New] = ()
    records: Sequence[bytes] | None = None


class Observed:
    """A stream, and the file that says how far it may be read."""

    def __init__(self, stream: FileStream, committed: int) -> None:
        self.stream: Final = stream
        #: When its use was last noted, in unix seconds.
        self.used: float = 0.0
        self._committed = committed
        self._inode = os.fstat(committed).st_ino

    @property
    def is_deleted(self) -> bool:
        return (self.stream.folder / "deleted").exists()

    def is_expired(self, now: float) -> bool:
        config = self.stream.state.config
        if self.is_deleted:
            return False
        if config.expires_at is not None and now >= config.expires_at:
            return True
        if config.ttl is None or self.stream.followers:
            return False
        try:
            return now - used_at(self.stream.folder) >= config.ttl
        except FileNotFoundError:
            return True

    def look(self) -> News | None:
        """In a thread: the writes that are new, or None where the stream is gone."""
        try:
            if self.is_gone():
                return None
            until = read_committed(self._committed)
            if until is None:
                return News()
            writes = find_new(self.stream.loaded, until)
            news = News(writes, self._records(writes))
        except FileNotFoundError:
            return None
        # Else the files that were read may be those of another stream.
        return None if self.is_gone() else news

    def is_gone(self) -> bool:
        """In a thread: whether the stream was removed, and another may have its folder."""
        try:
            # The descriptor keeps the inode: another file of the name is another stream.
            return os.stat(self.stream.folder / "committed").st_ino != self._inode
        except FileNotFoundError:
            return True

    def _records(self, writes: Sequence[New]) -> list[bytes] | None:
        size = sum(sum(new.write.sizes) for new in writes)
        if not self.stream.followers or size > MOST:
            return None
        records: list[bytes] = []
        offsets: dict[int, int] = {}
        for new in writes:
            offset = offsets.setdefault(new.segment.first, new.segment.data_bytes)
            records += self.stream.read(new.segment, Place(offset, new.write.sizes))
            offsets[new.segment.first] = offset + sum(new.write.sizes)
        return records

    def take_in(self, news: News) -> None:
        """In the event loop: the state after all that is new, of which followers are told."""
        loaded, first = self.stream.loaded, self.stream.state.next
        was_open = self.stream.state.end is None
        for new in news.writes:
            if loaded.segments[-1] is not new.segment:
                loaded.segments.append(new.segment)
            note(loaded, new.segment, new.write, new.end)
        if not news.writes or not was_open:
            return
        if news.records is None:
            for follower in self.stream.followers:
                follower.skip(self.stream.state.head)
        self.stream.deliver(first, news.records or ())

    def close(self) -> None:
        os.close(self._committed)


def observe(root: Path, key: str, archive: Archive | None) -> Observed:
    """The stream of a key, as far as it may be read. Raises NotFound."""
    folder = folder_of(root, key)
    try:
        committed = os.open(folder / "committed", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return Observed(_load(root, folder, committed, archive), committed)
        except BaseException:
            os.close(committed)
            raise
    except (FileNotFoundError, NotFound) as error:
        text = f"there is no stream {key[:80]!r}: none was made, or it has expired"
        raise NotFound(text) from error


def _load(root: Path, folder: Path, committed: int, archive: Archive | None) -> FileStream:
    until = read_committed(committed)
    while until is None:
        until = read_committed(committed)
    loaded = load(folder, until)
    fork, source = loaded.state.fork, None
    if fork is not None:
        place = folder_of(root, fork.source)
        with opened(place / "committed") as fd:
            source = _load(root, place, fd, archive)
    return FileStream(folder, loaded, source, archive)
