"""The store of files across starts, and beside another process."""

import asyncio
import errno
import os
import resource
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from eddyline.errors import NotFound, Overloaded, SettingsError, Unavailable, UnknownFormat
from eddyline.journal.cursor import Cursor
from eddyline.store.base import (
    Batch,
    Fork,
    ProducerStamp,
    StreamConfig,
    StreamDeleted,
    StreamEnded,
)
from eddyline.store.files import appending
from eddyline.store.files.reader import FileReader
from eddyline.store.files.store import FileStore
from eddyline.store.segments.segment import Segment
from eddyline.store.segments.writing import SegmentWriter
from eddyline.testing import PATIENCE, eventually, wait_until
from eddyline.testing.store_contract.helpers import KEPT, Notes, cursors, forked, made, state, whole


@asynccontextmanager
async def opened(folder: Path, **options) -> AsyncIterator[FileStore]:
    store = FileStore(folder, **options)
    async with store.run():
        yield store


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "streams"


async def test_streams_outlive_their_process(folder):
    async with opened(folder) as store:
        await made(store, b"a", b"", b"c" * 100_000)
        await store.append("k", Batch([b"d"]))
        before = await store.read("k", None, 1_000_000)
    async with opened(folder) as store:
        after = await store.read("k", None, 1_000_000)
        assert after == before
        written = await store.append("k", Batch([b"e"]))
    assert written.info.head == Cursor(before.info.head.epoch, 5)


async def test_all_that_is_known_of_writers_outlives_the_process(folder):
    stamped = Batch([b"a"], producer=ProducerStamp("p", 3, 0), order=b"\xff\x00")
    last = Batch([b"z"], "closed", producer=ProducerStamp("p", 3, 1))
    async with opened(folder) as store:
        await made(store)
        await store.append("k", stamped)
    async with opened(folder) as store:
        again = await store.append("k", stamped)
        assert (again.new, again.accepted) == (False, 0)
        await store.append("k", last)
    async with opened(folder) as store:
        assert not (await store.append("k", last)).new
        with pytest.raises(StreamEnded):
            await store.append("k", Batch([b"x"]))
        assert await whole(store) == [b"a", b"z"]


async def test_a_header_holds_all_of_the_state(folder, monkeypatch):
    """Each start reads the last segment alone."""
    monkeypatch.setattr(appending, "SEGMENT_BYTES", 1)
    config = StreamConfig("text/plain; charset=utf-8", 3600, 10_000, True, 4_000_000_000)
    batches = [
        Batch([b"%d" % n], producer=ProducerStamp("p", 0, n), order=b"%03d" % n) for n in range(9)
    ]
    async with opened(folder) as store:
        await made(store, b"first", config=config)
        for batch in batches:
            await store.append("k", batch)
        info = await state(store)
    assert len([*folder.rglob("*.log")]) == 10
    async with opened(folder) as store:
        assert await state(store) == info
        assert not (await store.append("k", batches[-1])).new
        assert await whole(store) == [b"first", *(batch.records[0] for batch in batches)]


async def test_forks_and_what_they_keep_outlive_the_process(folder):
    async with opened(folder) as store:
        await made(store, b"a", b"b")
        await forked(store, "one", "k", b"c")
        await forked(store, "two", "one", b"d")
        await store.delete("k")
        await store.delete("one")
    async with opened(folder) as store:
        assert await whole(store, "two") == [b"a", b"b", b"c", b"d"]
        with pytest.raises(StreamDeleted):
            await store.read("k", None, 1)
        assert await store.list("", None, 10) == ["two"]
        await store.delete("two")
    async with opened(folder) as store:
        assert await store.list("", None, 10) == []
        assert [*(folder / "streams").iterdir()] == []


async def test_a_source_that_a_crash_left_without_forks_goes_at_the_start(folder):
    async with opened(folder) as store:
        await made(store, b"a")
        place = next((folder / "streams").iterdir())
        await forked(store, "fork", "k")
        await store.delete("k")
        fork = next(each for each in (folder / "streams").iterdir() if each != place)
    for file in fork.iterdir():
        file.unlink()
    fork.rmdir()
    async with opened(folder):
        assert not place.exists()


async def test_unused_streams_expire_over_a_restart_and_used_ones_do_not(folder):
    async with opened(folder) as store:
        await store.create("short", StreamConfig(ttl=0.05))
        await store.create("long", StreamConfig(ttl=3600))
    await asyncio.to_thread(wait_for_age, folder, 0.1)
    async with opened(folder) as store:
        assert await store.list("", None, 10) == ["long"]


def wait_for_age(folder: Path, seconds: float) -> None:
    newest = max(each.stat().st_mtime for each in (folder / "streams").iterdir())
    wait_until(lambda: time.time() - newest >= seconds)


async def test_a_second_writer_is_refused(folder):
    async with opened(folder):
        with pytest.raises(SettingsError, match="another process writes to it"):
            async with opened(folder):
                pass
    async with opened(folder):
        pass


async def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="file/streams: Not a directory"):
        async with opened(tmp_path / "file" / "streams"):
            pass


async def test_a_later_format_is_refused(folder):
    async with opened(folder):
        pass
    path = folder / "store.json"
    path.write_text(path.read_text().replace('"format":1', '"format":2'))
    with pytest.raises(UnknownFormat, match="format 2"):
        async with opened(folder):
            pass


async def test_a_store_that_is_full_refuses_to_grow_and_frees_what_is_deleted(folder):
    async with opened(folder, max_bytes=10_000) as store:
        await made(store, b"x" * 6000)
        with pytest.raises(Overloaded, match="is full"):
            await store.append("k", Batch([b"y" * 6000]))
        with pytest.raises(Overloaded, match="is full"):
            await store.create("other", KEPT, Batch([b"y" * 6000]))
        assert await whole(store) == [b"x" * 6000]
        await store.delete("k")
        await made(store, b"x" * 6000)


@asynccontextmanager
async def files_no_longer_than(size: int) -> AsyncIterator[None]:
    """No file grows beyond a size: the system's own way to fail a write in its midst."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_refuses_the_write_and_the_stream_goes_on_when_there_is_room(folder):
    async with opened(folder) as store:
        await made(store, b"a" * 1000)
        notes = Notes()
        async with store.follow("k", notes):
            async with files_no_longer_than(3000):
                calls = [store.append("k", Batch([bytes([n]) * 1500])) for n in range(3)]
                results = await asyncio.gather(*calls, return_exceptions=True)
                assert Overloaded in [type(result) for result in results]
            kept = await whole(store)
            assert kept[0] == b"a" * 1000
            assert len(kept) == 1 + sum(not isinstance(each, Exception) for each in results)
            await store.append("k", Batch([b"after"]))
            assert (await whole(store)) == [*kept, b"after"]
            await eventually(lambda: notes.records[-1].data == b"after")
    async with opened(folder) as store:
        assert await whole(store) == [*kept, b"after"]


async def test_a_stream_whose_disk_failed_takes_no_more_writes_until_a_start(folder, monkeypatch):
    async with opened(folder) as store:
        await made(store, b"a")
        await store.append("k", Batch([b"b"]))

        def fails(fd):
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr("eddyline.store.segments.writing.os.fdatasync", fails)
            with pytest.raises(Unavailable, match="Input/output error"):
                await store.append("k", Batch([b"c"]))
        with pytest.raises(Unavailable, match="its disk failed"):
            await store.append("k", Batch([b"c"]))
        assert await whole(store) == [b"a", b"b"]
    async with opened(folder) as store:
        assert await whole(store) == [b"a", b"b"]
        await store.append("k", Batch([b"c"]))


async def test_a_write_sent_twice_at_once_is_done_once_and_both_hear_when_it_is(folder):
    async with opened(folder) as store:
        await made(store)
        batch = Batch([b"a"], producer=ProducerStamp("p", 0, 0))
        writes = await asyncio.gather(*(store.append("k", batch) for _ in range(5)))
        assert sorted(write.new for write in writes) == [False] * 4 + [True]
        assert await whole(store) == [b"a"]


async def test_a_torn_write_is_cut_off_wherever_it_was_torn(folder):
    async with opened(folder) as store:
        await made(store, b"one")
        known = await cursors(store, "k")
        [log], [data] = [*folder.rglob("*.log")], [*folder.rglob("*.data")]
        before = log.stat().st_size, data.stat().st_size
        await store.append("k", Batch([b"two", b"three"]))
    whole_log, whole_data = log.read_bytes(), data.read_bytes()
    cuts = [(length, len(whole_data)) for length in range(before[0], len(whole_log))]
    cuts += [(len(whole_log), length) for length in range(before[1], len(whole_data))]
    for log_length, data_length in cuts:
        log.write_bytes(whole_log[:log_length])
        data.write_bytes(whole_data[:data_length])
        async with opened(folder) as store:
            assert await cursors(store, "k") == known
            assert (await store.append("k", Batch([b"again"]))).info.head.sequence == 2
            assert await whole(store) == [b"one", b"again"]


@pytest.mark.parametrize("junk", [b"\0" * 500, b"\xff" * 500])
async def test_junk_after_the_last_write_is_cut_off(folder, junk):
    async with opened(folder) as store:
        await made(store, b"one")
    for path in [*folder.rglob("*.log"), *folder.rglob("*.data")]:
        path.write_bytes(path.read_bytes() + junk)
    async with opened(folder) as store:
        assert await whole(store) == [b"one"]
        await store.append("k", Batch([b"two"]))
    async with opened(folder) as store:
        assert await whole(store) == [b"one", b"two"]


async def test_a_segment_without_its_header_is_removed_at_the_start(folder):
    async with opened(folder) as store:
        await made(store, b"one")
    place = next((folder / "streams").iterdir())
    for ending in ("log", "data"):
        (place / f"{2:018}.{ending}").write_bytes(b"\x10")
    async with opened(folder) as store:
        assert await whole(store) == [b"one"]
        await store.append("k", Batch([b"two"]))
    assert len([*place.glob("*.log")]) == 1


async def test_a_fork_at_any_time_has_its_source_on_the_disk(folder):
    async with opened(folder, sync="interval", interval=3600) as store:
        await made(store)
        await store.append("k", Batch([b"a"]))
        at = (await state(store)).head
        synced = []
        real = os.fdatasync

        def sync(fd):
            synced.append(Path(os.readlink(f"/proc/self/fd/{fd}")))
            real(fd)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fdatasync", sync)
            await store.create("fork", KEPT, fork=Fork("k", at))
    source = next((folder / "streams").glob(f"*/{1:018}.data"))
    # Those of the source came first.
    assert [path.parent for path in synced[:2]] == [source.parent] * 2


@pytest.fixture
def held(monkeypatch):
    """The first read of records stays before the files until it is told to go on."""
    arrived, go_on = threading.Event(), threading.Event()
    real = Segment.read

    def read(self, place):
        if not arrived.is_set():
            arrived.set()
            assert go_on.wait(PATIENCE)
        return real(self, place)

    monkeypatch.setattr(Segment, "read", read)
    return arrived, go_on


@pytest.mark.parametrize("by", ["writer", "reader"])
async def test_a_read_while_its_stream_is_made_anew_gets_no_record_of_the_new_one(folder, held, by):
    """Both lie under one name: cursors of the old stream would name records of the new one."""
    arrived, go_on = held
    reader = FileReader(folder)
    async with opened(folder) as store, reader.run():
        await made(store, b"old 1", b"old 2")
        source = store if by == "writer" else reader
        reading = asyncio.create_task(source.read("k", None, 1000))
        await asyncio.to_thread(arrived.wait, PATIENCE)
        await store.delete("k")
        await made(store, b"new 1", b"new 2")
        go_on.set()
        with pytest.raises(NotFound, match="went while it was read"):
            await reading
        assert await whole(source) == [b"new 1", b"new 2"]


async def test_a_write_that_was_not_made_known_is_taken_back(folder, monkeypatch):
    """A copy-on-write disk that is full refuses even the bytes that say how far readers may go."""
    async with opened(folder) as store:
        await made(store, b"a")

        def full(self, log_bytes):
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(SegmentWriter, "commit", full)
            for _ in range(2):
                with pytest.raises(Overloaded, match="nothing was written"):
                    await asyncio.gather(*(store.append("k", Batch([b"no"])) for _ in range(2)))
        await store.append("k", Batch([b"ok"]))
    async with opened(folder) as store:
        assert await whole(store) == [b"a", b"ok"]


async def test_records_of_a_file_that_is_too_short_are_an_error(folder, monkeypatch):
    monkeypatch.setattr(appending, "SEGMENT_BYTES", 10)
    async with opened(folder) as store:
        await made(store, b"x" * 20)
        await store.append("k", Batch([b"y" * 20]))
        oldest = min(folder.rglob("*.data"))
        os.truncate(oldest, 15)
        with pytest.raises(Unavailable, match="of 20 bytes of records there are 15"):
            await store.read("k", None, 1000)
