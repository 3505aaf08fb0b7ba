"""The contract of a store of streams, on each that the library has."""

import itertools
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from eddyline.redis.streams.store import RedisStore
from eddyline.store.base import StreamStore
from eddyline.store.files import appending, shelf
from eddyline.store.files import store as files
from eddyline.store.files.store import FileStore
from eddyline.store.memory import MemoryStore
from eddyline.testing.store_contract import *  # noqa: F403


@asynccontextmanager
async def in_memory(folder: Path) -> AsyncIterator[StreamStore]:
    yield MemoryStore()


@asynccontextmanager
async def in_files(folder: Path) -> AsyncIterator[StreamStore]:
    store = FileStore(folder)
    async with store.run():
        yield store


@asynccontextmanager
async def in_small_segments(folder: Path) -> AsyncIterator[StreamStore]:
    """Nearly each write begins a segment, and nothing stays open or loaded for long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(appending, "SEGMENT_BYTES", 1)
        patch.setattr(shelf, "OPEN", 0)
        patch.setattr(shelf, "LOADED", 0)
        patch.setattr(files, "SWEEP", 0.001)
        async with in_files(folder) as store:
            yield store


@asynccontextmanager
async def in_redis(url: str) -> AsyncIterator[StreamStore]:
    store = RedisStore(url, secrets.token_hex(8))
    async with store.run():
        yield store


@asynccontextmanager
async def through_another_process(url: str) -> AsyncIterator[StreamStore]:
    """Each call goes to one of two stores, in turn: as to two processes behind a balancer."""
    name = secrets.token_hex(8)
    stores = [RedisStore(url, name), RedisStore(url, name)]
    async with stores[0].run(), stores[1].run():
        yield Alternating(stores)


class Alternating:
    def __init__(self, stores: list[RedisStore]) -> None:
        self._stores = itertools.cycle(stores)

    def __getattr__(self, name: str) -> object:
        return getattr(next(self._stores), name)


#: A fixture, and the store that is made with its value.
STORES: dict[str, tuple[str, Callable[..., AbstractAsyncContextManager[StreamStore]]]] = {
    "memory": ("tmp_path", in_memory),
    "files": ("tmp_path", in_files),
    "files in small segments": ("tmp_path", in_small_segments),
    "redis": ("redis_url", in_redis),
    "redis from two processes": ("redis_url", through_another_process),
}


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[StreamStore]:
    fixture, open_store = STORES[request.param]
    async with open_store(request.getfixturevalue(fixture)) as store:
        yield store
