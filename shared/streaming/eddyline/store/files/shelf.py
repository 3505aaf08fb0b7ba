"""The streams of a store's folder: which there are, which are loaded, and how they go."""

import asyncio
import logging
import shutil
import time
from collections import OrderedDict
from pathlib import Path
from weakref import WeakValueDictionary

from eddyline.errors import NotFound, Unavailable
from eddyline.store.base import StreamDeleted
from eddyline.store.files.catalog import Entry, note_use, read_entry, used_at
from eddyline.store.files.keeper import STREAMS, Keeper
from eddyline.store.segments.archive import Archive, archived_under
from eddyline.store.segments.loading import load, read_header
from eddyline.store.segments.reading import InThread
from eddyline.store.segments.stream import FileStream

_log = logging.getLogger("eddyline.store")

#: Streams that stay loaded though nobody uses them, and those of them that keep their files open.
LOADED = 10_000
OPEN = 300


class Shelf:
    """All entries of a store, by key. A change of one key's stream is made under its lock."""

    def __init__(
        self, root: Path, keeper: Keeper, in_thread: InThread, archive: Archive | None
    ) -> None:
        self._root = root
        self._keeper = keeper
        self._in_thread = in_thread
        self._archive = archive
        self._entries: dict[str, Entry] = {}
        #: Those that are loaded, in the order of their last use.
        self._loaded: OrderedDict[str, Entry] = OrderedDict()
        #: Bytes of all files, about.
        self.bytes: int = 0
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def entries(self) -> list[Entry]:
        return list(self._entries.values())

    async def open(self) -> None:
        """Finds all streams of the folder."""
        for trash in self._keeper.trash:
            await self._in_thread(self._destroy, trash)
        for entry in await self._in_thread(self._read_all):
            self._entries[entry.key] = entry
            self.bytes += entry.bytes
        for entry in self.entries:
            if entry.source is not None:
                self._entries[entry.source].forks += 1
        # A crash may have come between the last fork's end and that of its source.
        for entry in self.entries:
            if entry.deleted and not entry.forks:
                await self.remove(entry)

    async def close(self) -> None:
        """Brings all to the disk."""
        await self.note_use()
        for entry in self._loaded.values():
            if entry.appender is not None:
                await entry.appender.close()

    def lock(self, key: str) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())

    def add(self, entry: Entry) -> None:
        self._entries[entry.key] = entry
        self._loaded[entry.key] = entry
        self.bytes += entry.bytes

    def grow(self, entry: Entry, size: int) -> None:
        """The files of a stream have so many bytes of records more."""
        if self._entries.get(entry.key) is entry:
            self.bytes += entry.grow(size)

    async def find(self, key: str) -> Entry | None:
        """The stream of a key, deleted ones too. Call it under the key's lock."""
        entry = self._entries.get(key)
        if entry is not None and entry.expired(time.time()):
            await self._expire(entry)
        return self._entries.get(key)

    async def get(self, key: str) -> tuple[Entry, FileStream]:
        """The stream of a key, loaded. Raises NotFound, StreamDeleted."""
        entry = self._entries.get(key)
        stream = None if entry is None or entry.expired(time.time()) else entry.stream
        # One that is deleted may be on its way out, under its lock. One that is being made is not
        # waited for: a fork holds its own key's lock, and asks for its source.
        if entry is not None and (stream is None or entry.deleted):
            async with self.lock(key):
                entry = await self.find(key)
                stream = None if entry is None else await self.load(entry)
        if entry is None or stream is None:
            raise NotFound(f"there is no stream {key[:80]!r}: none was made, or it has expired")
        if entry.deleted:
            raise StreamDeleted(f"the stream {key[:80]!r} is gone: only forks of it live")
        return entry, stream

    async def load(self, entry: Entry) -> FileStream:
        """The stream in an entry's folder. Call it under the key's lock."""
        if entry.stream is None:
            source = None
            if entry.source is not None:
                source = await self.load(self._entries[entry.source])
            loaded = await self._in_thread(load, entry.folder)
            entry.stream = FileStream(entry.folder, loaded, source, self._archive)
        self._loaded[entry.key] = entry
        self._loaded.move_to_end(entry.key)
        return entry.stream

    def use(self, entry: Entry) -> None:
        """The stream is in use: it does not expire for a while."""
        if entry.key in self._loaded:
            self._loaded.move_to_end(entry.key)
        entry.used = time.time()

    async def note_use(self) -> None:
        """Writes down when streams that expire were last used."""
        now = time.time()
        entries = [entry for entry in self._loaded.values() if entry.config.ttl is not None]
        for entry in entries:
            if entry.stream is not None and entry.stream.followers:
                entry.used = now
        await self._in_thread(note_use, [each for each in entries if each.used > each.noted])

    async def remove_expired(self) -> None:
        now = time.time()
        for entry in self.entries:
            if entry.expired(now):
                async with self.lock(entry.key):
                    await self._expire(entry)

    async def _expire(self, entry: Entry) -> None:
        # Readers in other processes may have used it.
        entry.used = max(entry.used, await self._in_thread(used_at, entry.folder))
        if entry.expired(time.time()):
            await self.remove(entry)

    async def remove(self, entry: Entry) -> None:
        """Removes a stream, and those before it that only it has kept. Call it under the key's
        lock. A stream that has forks only disappears.
        """
        if self._entries.get(entry.key) is not entry or (entry.deleted and entry.forks):
            return
        stream, entry.deleted = entry.stream, True
        if stream is not None:
            stream.let_go()
        if entry.appender is not None:
            await entry.appender.close()
        if entry.forks:
            await self._in_thread(self._keeper.mark_deleted, entry.folder)
            return
        trash = await self._in_thread(self._keeper.remove, entry.folder)
        await self._in_thread(self._destroy, trash)
        del self._entries[entry.key]
        self.bytes -= entry.bytes
        self._loaded.pop(entry.key, None)
        if entry.source is not None:
            await self.release(self._entries[entry.source])

    async def release(self, source: Entry) -> None:
        """A fork of the stream is gone."""
        source.forks -= 1
        if source.deleted and not source.forks:
            async with self.lock(source.key):
                await self.remove(source)

    async def shrink(self) -> None:
        """Unloads the streams that were not used for the longest time, and closes files."""
        quiet = [entry for entry in self._loaded.values() if not entry.is_busy]
        for entry in quiet[: max(0, len(self._loaded) - OPEN)]:
            appender, entry.appender = entry.appender, None
            if appender is not None:
                await appender.close()
        for entry in quiet[: max(0, len(self._loaded) - LOADED)]:
            del self._loaded[entry.key]
            entry.stream = None

    async def archive_closed(self) -> None:
        """Moves the records of closed segments to the archive."""
        for entry in self.entries:
            if entry.stream is None and entry.closed and not entry.deleted:
                async with self.lock(entry.key):
                    await self.load(entry)
            entry.closed = False
            if entry.stream is not None and not entry.deleted:
                await self._in_thread(entry.stream.archive_closed)

    def _destroy(self, trash: Path) -> None:
        """Removes the files of a stream that is gone, and its objects in the archive."""
        try:
            loaded = None if self._archive is None else read_header(trash)
            if self._archive is not None and loaded is not None:
                self._archive.delete_all(archived_under(loaded.key, loaded.state.life))
        except Unavailable as error:
            _log.warning("objects of a deleted stream stay until the next start: %s", error.detail)
        else:
            shutil.rmtree(trash)

    def _read_all(self) -> list[Entry]:
        folders = (self._root / STREAMS).iterdir()
        return [entry for folder in folders if (entry := read_entry(folder)) is not None]
