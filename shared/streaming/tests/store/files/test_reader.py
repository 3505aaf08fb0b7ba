"""Readers of a store of files in other processes than its writer."""

import asyncio
import subprocess
import sys
import textwrap
from contextlib import AsyncExitStack

import pytest

from eddyline.errors import NotFound, Unavailable
from eddyline.store.base import Batch, StreamConfig, StreamDeleted
from eddyline.store.files import appending, observed
from eddyline.store.files.reader import FileReader
from eddyline.store.files.store import FileStore
from eddyline.testing import PATIENCE, eventually
from eddyline.testing.store_contract.helpers import KEPT, Notes, cursors, forked, gone, made, whole


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "streams"


@pytest.fixture
async def both(folder, monkeypatch):
    monkeypatch.setattr(appending, "SEGMENT_BYTES", 500)
    store, reader = FileStore(folder), FileReader(folder)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(store.run())
        await stack.enter_async_context(reader.run())
        yield store, reader


async def test_a_reader_sees_all_that_is_acknowledged(both):
    store, reader = both
    await made(store, b"first")
    for n in range(50):
        await store.append("k", Batch([b"%d" % n * 20, b""]))
        assert await reader.read("k", None, 1_000_000) == await store.read("k", None, 1_000_000)
    await store.append("k", Batch([b"last"], "closed"))
    assert await reader.read("k", None, 1_000_000) == await store.read("k", None, 1_000_000)


async def test_a_reader_reads_forks(both):
    store, reader = both
    await made(store, b"a", b"b")
    await forked(store, "one", "k", b"c")
    await forked(store, "two", "one", b"d")
    await store.delete("k")
    assert await whole(reader, "two") == [b"a", b"b", b"c", b"d"]
    assert await cursors(reader, "two") == await cursors(store, "two")
    with pytest.raises(StreamDeleted):
        await reader.read("k", None, 1)


async def test_a_reader_is_told_of_growth_and_of_the_end(both):
    store, reader = both
    info = await made(store, b"a")
    notes = Notes()
    async with reader.follow("k", notes):
        assert notes.skipped == [info.head]
        for n in range(40):
            await store.append("k", Batch([b"%d" % n * 30]))
        await store.append("k", Batch([b"z"], "closed"))
        await eventually(lambda: notes.ends)
    assert [record.data for record in notes.records] == (await whole(store))[1:]
    assert [record.cursor for record in notes.records] == (await cursors(store, "k"))[1:]
    assert notes.ends == ["closed"]


async def test_a_reader_that_is_far_behind_is_told_to_read(both, monkeypatch):
    monkeypatch.setattr(observed, "MOST", 10)
    store, reader = both
    await made(store, b"a")
    notes = Notes()
    async with reader.follow("k", notes):
        head = (await store.append("k", Batch([b"b" * 11]))).info.head
        await eventually(lambda: notes.skipped[-1] == head)
        await store.append("k", Batch([b"c"]))
        await eventually(lambda: notes.records)
    assert [record.data for record in notes.records] == [b"c"]


async def test_a_reader_is_told_that_a_stream_is_gone_and_finds_the_next_one(both):
    store, reader = both
    await made(store, b"old")
    notes = Notes()
    async with reader.follow("k", notes):
        await store.delete("k")
        await eventually(lambda: notes.ends)
    assert notes.ends == [None]
    with pytest.raises(NotFound, match="'k'"):
        await reader.read("k", None, 1)
    await made(store, b"new")
    assert await whole(reader) == [b"new"]


async def test_a_deleted_stream_that_was_made_again_is_not_taken_for_the_old_one(both):
    store, reader = both
    for n in range(5):
        await made(store, b"%d" % n)
        assert await whole(reader) == [b"%d" % n]
        await store.delete("k")


async def test_a_stream_that_is_followed_elsewhere_does_not_expire(both, monkeypatch):
    monkeypatch.setattr("eddyline.store.files.reader.NOTE", 0.01)
    store, reader = both
    await store.create("other", StreamConfig(ttl=2.5))
    await store.create("k", StreamConfig(ttl=0.5))
    async with reader.follow("k", Notes()):
        await gone(store, "other")
        assert (await store.read("k", None, 0)).info.end is None
    await gone(store, "k")
    await gone(reader, "k")


async def test_a_reader_lists_the_streams(both):
    store, reader = both
    for key in ("a", "ab", "b"):
        await store.create(key, KEPT)
    assert await reader.list("a", None, 10) == ["a", "ab"]
    assert await reader.list("", "a", 1) == ["ab"]


async def test_a_reader_never_writes(both):
    store, reader = both
    await made(store, b"a")
    calls = (reader.create("x", KEPT), reader.append("k", Batch([b"b"])), reader.delete("k"))
    for call in calls:
        with pytest.raises(Unavailable, match="only reads"):
            await call
    assert await whole(store) == [b"a"]


READER = """
    import asyncio, sys
    from eddyline.store.files.reader import FileReader

    class Printer:
        def __init__(self): self.over = asyncio.Event()
        def skip(self, head): print("skip", head, flush=True)
        def deliver(self, records):
            for record in records: print(record.cursor, record.data.decode(), flush=True)
        def ended(self, reason): self.over.set()

    async def main():
        reader, printer = FileReader(sys.argv[1]), Printer()
        async with reader.run(), reader.follow("k", printer):
            await printer.over.wait()

    asyncio.run(main())
"""


async def test_another_process_follows_a_stream(both, folder):
    store, _ = both
    info = await made(store, b"0")
    command = [sys.executable, "-c", textwrap.dedent(READER), str(folder)]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        assert (await process.stdout.readline()).split() == [b"skip", str(info.head).encode()]
        for n in range(1, 100):
            await store.append("k", Batch([b"%d" % n]))
        await store.append("k", Batch(end="closed"))
        lines = (await process.stdout.read()).splitlines()
        await process.wait()
    assert lines == [f"{info.head.epoch}.{n + 1} {n}".encode() for n in range(1, 100)]
