"""The store of files, in the one process that writes it."""

import asyncio
import builtins
import heapq
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar, get_args

from eddyline.errors import BadCursor, Conflict, Overloaded, SettingsError, Unavailable
from eddyline.journal.cursor import Cursor
from eddyline.store.base import (
    NOTHING,
    Batch,
    Chunk,
    Fork,
    StreamConfig,
    StreamDeleted,
    StreamFollower,
    Written,
)
from eddyline.store.files.appending import Appender
from eddyline.store.files.catalog import Entry, entry_of, folder_of
from eddyline.store.files.keeper import Keeper, Run, Sync
from eddyline.store.files.making import make
from eddyline.store.files.shelf import Shelf
from eddyline.store.segments.archive import Archive
from eddyline.store.segments.loading import Loaded
from eddyline.store.segments.reading import read
from eddyline.store.segments.state import new_state
from eddyline.store.segments.stream import FileStream

_log = logging.getLogger("eddyline.store")

_T = TypeVar("_T")

#: Seconds between two looks at all streams for those that have expired; one that is asked for is
#: looked at in any case.
SWEEP = 5.0

#: Threads that write and read. A write waits for the disk most of the time.
THREADS = 8


class FileStore:
    """Streams in the files of a folder, which this process alone writes; use it within `run()`.

    `sync`: `always` brings each write to the disk before it is acknowledged; `interval` does so
    every `interval` seconds, so that a power cut takes the writes since: cursors of these then name
    nothing, and never other records. `max_bytes`: of all files together; a store that is full
    refuses to grow. `archive`: the URL of an object store that the records of closed segments are
    moved to, and read from (archive.py). Other processes read by a `FileReader`. Errors of the disk
    are Unavailable, those of a full one Overloaded. Raises SettingsError for a bad argument.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        sync: Sync = "always",
        interval: float = 1.0,
        max_bytes: int | None = None,
        archive: str | None = None,
    ) -> None:
        if sync not in get_args(Sync):
            raise SettingsError(f"sync={sync!r}: expected one of {', '.join(get_args(Sync))}")
        if not interval > 0:
            raise SettingsError(f"interval={interval!r}: must be above 0, in seconds")
        if max_bytes is not None and max_bytes <= 0:
            raise SettingsError(f"max_bytes={max_bytes!r}: must be above 0")
        self._root = Path(folder)
        self._sync = sync
        self._interval = interval
        self._max_bytes = max_bytes
        self._archive = None if archive is None else Archive(archive)
        self._keeper = Keeper(self._root, sync)
        self._shelf = Shelf(self._root, self._keeper, self._in_thread, self._archive)
        self._pool = ThreadPoolExecutor(THREADS, "eddyline-files")
        self._run = Run(0, 0)

    @property
    def bytes(self) -> int:
        """Bytes of all streams' files, about."""
        return self._shelf.bytes

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Locks the folder, and finds the streams in it.

        Raises SettingsError where the folder can't be used, UnknownFormat where a later version
        wrote it.
        """
        with self._keeper.run() as self._run:
            await self._shelf.open()
            tasks = [asyncio.create_task(self._sweep())]
            if self._archive is not None:
                tasks.append(asyncio.create_task(self._archive_closed()))
            if self._sync == "interval":
                tasks.append(asyncio.create_task(self._sync_often()))
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
                await self._shelf.close()
                self._pool.shutdown()

    async def create(
        self, key: str, config: StreamConfig, first: Batch = NOTHING, fork: Fork | None = None
    ) -> Written:
        async with self._shelf.lock(key):
            entry = await self._shelf.find(key)
            if entry is not None:
                if entry.deleted:
                    text = f"the key {key[:80]!r} is not free: forks of its old stream live"
                    raise Conflict(text)
                self._shelf.use(entry)
                return Written((await self._shelf.load(entry)).state.info, new=False)
            if fork is None:
                return await self._make(key, config, first)
            source = await self._hold_source(fork, config)
            try:
                return await self._make(key, config, first, fork, source)
            except BaseException:
                await self._shelf.release(source)
                raise

    async def append(self, key: str, batch: Batch) -> Written:
        entry, stream = await self._shelf.get(key)
        size = sum(map(len, batch.records))
        self._shelf.use(entry)
        if entry.appender is None:
            entry.appender = Appender(stream, self._run, self._sync, self._pool)
        written = await entry.appender.append(batch, lambda: self._make_room(size))
        if written.new:
            self._shelf.grow(entry, size)
        return written

    async def read(self, key: str, after: Cursor | None, limit: int) -> Chunk:
        entry, stream = await self._shelf.get(key)
        if limit > 0:
            self._shelf.use(entry)
        return await read(stream, after, limit, self._in_thread)

    @asynccontextmanager
    async def follow(self, key: str, follower: StreamFollower) -> AsyncIterator[None]:
        entry, stream = await self._shelf.get(key)
        try:
            with stream.followed(follower):
                yield
        finally:
            self._shelf.use(entry)

    async def delete(self, key: str) -> None:
        entry, _ = await self._shelf.get(key)
        async with self._shelf.lock(key):
            await self._shelf.remove(entry)

    async def list(self, prefix: str, after: str | None, limit: int) -> builtins.list[str]:
        now = time.time()
        keys = (
            entry.key
            for entry in self._shelf.entries
            if entry.key.startswith(prefix) and (after is None or entry.key > after)
            if not (entry.deleted or entry.expired(now))
        )
        # Texts sort by code points, and so do their bytes in UTF-8.
        return heapq.nsmallest(limit, keys)

    async def _hold_source(self, fork: Fork, config: StreamConfig) -> Entry:
        """The source of a fork that is about to be made, which counts it already."""
        try:
            entry, stream = await self._shelf.get(fork.source)
        except StreamDeleted as error:
            raise Conflict(error.detail) from error
        if entry.config.trim or config.trim:
            raise Conflict(f"{fork.source[:80]!r} is not forked: a fork keeps all of its records")
        if stream.state.gap(fork.at) is not None:
            text = f"{fork.at} is no position of the stream {fork.source[:80]!r}"
            raise BadCursor(f"{text}: it is at {stream.state.head}")
        entry.forks += 1
        return entry

    async def _make(
        self,
        key: str,
        config: StreamConfig,
        first: Batch,
        fork: Fork | None = None,
        source: Entry | None = None,
    ) -> Written:
        size = sum(map(len, first.records))
        origin = None if source is None else source.stream
        state = new_state(config, fork, None if origin is None else origin.state)
        state.surplus(repr(key[:80]), first)
        self._make_room(size)
        if source is not None and source.appender is not None:
            # A fork must not be on the disk before the records that it begins with.
            await source.appender.sync()
        loaded = Loaded(key, self._run.number, state, [])
        folder = folder_of(self._root, key)
        try:
            await self._in_thread(make, self._keeper, folder, loaded, first)
        except OSError as error:
            raise Overloaded(f"the stream {key[:80]!r} can't be made: {error.strerror}") from error
        entry = entry_of(folder, loaded)
        entry.stream = FileStream(folder, loaded, origin, self._archive)
        entry.grow(size)
        self._shelf.add(entry)
        return Written(state.info)

    def _make_room(self, size: int) -> None:
        if self._max_bytes is not None and self._shelf.bytes + size > self._max_bytes:
            raise Overloaded(f"the store is full: its files hold {self._shelf.bytes} bytes")

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP)
            await self._shelf.note_use()
            await self._shelf.remove_expired()
            await self._shelf.shrink()

    async def _archive_closed(self) -> None:
        while True:
            try:
                await self._shelf.archive_closed()
            except Unavailable as error:
                _log.warning("closed segments stay on the disk for now: %s", error.detail)
            await asyncio.sleep(SWEEP)

    async def _sync_often(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            for entry in self._shelf.entries:
                if entry.appender is not None:
                    await entry.appender.sync()

    async def _in_thread(self, call: Callable[..., _T], *args: object) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, call, *args)
