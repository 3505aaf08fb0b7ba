"""The contract of a store of streams, on each that the library has."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

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


STORES: dict[str, Callable[[Path], AbstractAsyncContextManager[StreamStore]]] = {
    "memory": in_memory,
    "files": in_files,
    "files in small segments": in_small_segments,
}


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StreamStore]:
    async with STORES[request.param](tmp_path / "streams") as store:
        yield store
