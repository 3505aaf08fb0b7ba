"""The parts that the tests of the contract share."""

from collections.abc import Sequence

from eddyline.errors import NotFound
from eddyline.journal.cursor import Cursor
from eddyline.store.base import Batch, Fork, Record, StreamConfig, StreamInfo, StreamStore
from eddyline.testing.wait import eventually

KEPT = StreamConfig("application/json")


class Notes:
    """A follower that notes all that it is told."""

    def __init__(self) -> None:
        self.skipped: list[Cursor] = []
        self.records: list[Record] = []
        self.ends: list[str | None] = []

    def skip(self, head: Cursor) -> None:
        self.skipped.append(head)

    def deliver(self, records: Sequence[Record]) -> None:
        assert records
        assert not self.ends
        self.records += records

    def ended(self, reason: str | None) -> None:
        self.ends.append(reason)


async def made(store: StreamStore, *records: bytes, config: StreamConfig = KEPT) -> StreamInfo:
    """A new stream under the key `k`."""
    written = await store.create("k", config, Batch(records))
    assert written.new
    return written.info


async def state(store: StreamStore, key: str = "k") -> StreamInfo:
    return (await store.read(key, None, 0)).info


async def whole(store: StreamStore, key: str = "k", limit: int = 1_000_000) -> list[bytes]:
    """All that is retained, read page by page."""
    cursor: Cursor | None = None
    read: list[bytes] = []
    while (chunk := await store.read(key, cursor, limit)).records:
        read += (record.data for record in chunk.records)
        cursor = chunk.records[-1].cursor
    return read


async def is_gone(store: StreamStore, key: str = "k") -> bool:
    try:
        await state(store, key)
    except NotFound:
        return True
    return False


async def gone(store: StreamStore, key: str = "k") -> None:
    await eventually(lambda: is_gone(store, key))


async def forked(
    store: StreamStore, key: str, source: str, *records: bytes, at: Cursor | None = None
) -> StreamInfo:
    """A new fork of a stream, at its head where nothing else is said."""
    fork = Fork(source, at or (await state(store, source)).head)
    written = await store.create(key, KEPT, Batch(records), fork)
    assert written.new
    return written.info


async def cursors(store: StreamStore, key: str) -> list[Cursor]:
    return [record.cursor for record in (await store.read(key, None, 1_000_000)).records]
