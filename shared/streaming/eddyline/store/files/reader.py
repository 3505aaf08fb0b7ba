"""The store of files, in a process that only reads it."""

import asyncio
import builtins
import heapq
import os
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NoReturn, TypeVar

from eddyline.errors import NotFound, Unavailable
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
from eddyline.store.files.catalog import read_entry
from eddyline.store.files.keeper import STREAMS
from eddyline.store.files.observed import Observed, observe
from eddyline.store.segments.archive import Archive
from eddyline.store.segments.reading import read
from eddyline.tasks import background

_T = TypeVar("_T")

#: Seconds between two looks at the streams that are followed.
PAUSE = 0.02

#: Seconds between two notes that a stream is in use.
NOTE = 2.0

#: Streams that are kept loaded though nobody uses them.
LOADED = 1_000

THREADS = 4


class FileReader:
    """Streams in the files of a folder, which another process writes; use it within `run()`.

    It sees all that the writer has acknowledged. A follower hears of a write some 20 ms later.
    `archive`: as the writer's.
    `create`, `append` and `delete` are Unavailable.
    """

    def __init__(self, folder: str | os.PathLike[str], *, archive: str | None = None) -> None:
        self._root = Path(folder)
        self._archive = None if archive is None else Archive(archive)
        self._pool = ThreadPoolExecutor(THREADS, "eddyline-files")
        #: In the order of their last use.
        self._streams: OrderedDict[str, Observed] = OrderedDict()
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Looks for new writes to the streams that are followed."""
        async with background(self._watch()):
            try:
                yield
            finally:
                for observed in self._streams.values():
                    observed.close()
                self._pool.shutdown()

    async def create(
        self, key: str, config: StreamConfig, first: Batch = NOTHING, fork: Fork | None = None
    ) -> Written:
        self._refuse()

    async def append(self, key: str, batch: Batch) -> Written:
        self._refuse()

    async def delete(self, key: str) -> None:
        self._refuse()

    async def read(self, key: str, after: Cursor | None, limit: int) -> Chunk:
        observed = await self._get(key)
        if limit > 0:
            await self._use(observed)
        chunk = await read(observed.stream, after, limit, self._in_thread)
        if not chunk.records:
            return chunk
        gone: bool = await self._in_thread(observed.is_gone)
        if gone:
            raise NotFound(f"the stream {key[:80]!r} went while it was read")
        return chunk

    @asynccontextmanager
    async def follow(self, key: str, follower: StreamFollower) -> AsyncIterator[None]:
        observed = await self._get(key)
        await self._use(observed)
        with observed.stream.followed(follower):
            yield

    async def list(self, prefix: str, after: str | None, limit: int) -> builtins.list[str]:
        keys = await self._in_thread(self._keys)
        found = (key for key in keys if key.startswith(prefix) and (after is None or key > after))
        return heapq.nsmallest(limit, found)

    def _keys(self) -> builtins.list[str]:
        now = time.time()
        entries = map(read_entry, (self._root / STREAMS).iterdir())
        return [each.key for each in entries if each and not (each.deleted or each.expired(now))]

    def _refuse(self) -> NoReturn:
        raise Unavailable("this process only reads the store: another one writes to its files")

    async def _get(self, key: str) -> Observed:
        """The stream as it is now. Raises NotFound, StreamDeleted."""
        async with self._lock:
            observed = self._streams.get(key)
            if observed is not None and not await self._refresh(observed):
                observed = None
            if observed is None:
                observed = await self._in_thread(observe, self._root, key, self._archive)
                self._streams[key] = observed
            self._streams.move_to_end(key)
            self._shrink()
        if await self._in_thread(observed.is_expired, time.time()):
            raise NotFound(f"there is no stream {key[:80]!r}: it has expired")
        if observed.is_deleted:
            raise StreamDeleted(f"the stream {key[:80]!r} is gone: only forks of it live")
        return observed

    async def _refresh(self, observed: Observed) -> bool:
        """Takes in all that is new. False where the stream is gone."""
        news = await self._in_thread(observed.look)
        if news is not None:
            observed.take_in(news)
            return True
        observed.stream.let_go()
        observed.close()
        self._streams.pop(observed.stream.key, None)
        return False

    async def _use(self, observed: Observed) -> None:
        now = time.time()
        if observed.stream.state.config.ttl is not None and now - observed.used > NOTE:
            observed.used = now
            with suppress(FileNotFoundError):
                await self._in_thread(os.utime, observed.stream.folder)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(PAUSE)
            async with self._lock:
                for observed in builtins.list(self._streams.values()):
                    if observed.stream.followers:
                        await self._refresh(observed)
                        await self._use(observed)

    def _shrink(self) -> None:
        if len(self._streams) > LOADED:
            for key, observed in builtins.list(self._streams.items())[: -LOADED or None]:
                if not observed.stream.followers:
                    observed.close()
                    del self._streams[key]

    async def _in_thread(self, call: Callable[..., _T], *args: object) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, call, *args)
