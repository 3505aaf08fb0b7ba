"""Closed segments in an object store: on a real S3 server, which may be away."""

import asyncio
import secrets
from contextlib import asynccontextmanager
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store

from eddyline.errors import SettingsError, Unavailable
from eddyline.store.base import Batch, StreamConfig
from eddyline.store.files import appending
from eddyline.store.files import store as module
from eddyline.store.files.reader import FileReader
from eddyline.store.files.store import FileStore
from eddyline.testing import FaultProxy, S3Server, eventually, free_port
from eddyline.testing.store_contract.helpers import KEPT, forked, made, whole

RECORDS = [b"%d" % n * 50 for n in range(40)]


class Bucket:
    """A part of the bucket, reached through a proxy."""

    def __init__(self, server: S3Server, proxy: FaultProxy) -> None:
        prefix = secrets.token_hex(8)
        self.url = f"s3://tests/{prefix}"
        self._server = server
        self._proxy = proxy
        environment = server.environment()
        config = {name.lower(): value for name, value in environment.items()}
        self._store = S3Store("tests", prefix=prefix, config=config)

    def objects(self) -> list[str]:
        return sorted(each["path"] for page in obstore.list(self._store) for each in page)

    def clear(self) -> None:
        obstore.delete(self._store, self.objects())

    def go(self) -> None:
        """Nobody reaches it any more."""
        self._proxy.target = free_port()
        self._proxy.cut()

    def come_back(self) -> None:
        self._proxy.target = self._server.port


@pytest.fixture
async def bucket(s3_server, monkeypatch):
    monkeypatch.setattr(appending, "SEGMENT_BYTES", 1000)
    monkeypatch.setattr(module, "SWEEP", 0.01)
    async with FaultProxy(s3_server.port) as proxy:
        for name, value in s3_server.environment(proxy.url).items():
            monkeypatch.setenv(name, value)
        yield Bucket(s3_server, proxy)


@asynccontextmanager
async def opened(folder, bucket):
    store = FileStore(folder, archive=bucket.url)
    async with store.run():
        yield store


def data_files(folder: Path) -> list[Path]:
    return [*folder.rglob("*.data")]


@asynccontextmanager
async def archived(folder, bucket):
    """A store with one stream, of which all records but the newest are in the archive."""
    async with opened(folder, bucket) as store:
        await made(store)
        for record in RECORDS:
            await store.append("k", Batch([record]))
        await eventually(lambda: len(data_files(folder)) == 1)
        yield store


async def test_closed_segments_leave_the_disk_and_are_read_back(bucket, tmp_path):
    folder = tmp_path / "streams"
    async with archived(folder, bucket) as store:
        assert len(await asyncio.to_thread(bucket.objects)) == len([*folder.rglob("*.log")]) - 1 > 2
        assert await whole(store) == RECORDS
        assert await whole(store, limit=1) == RECORDS
        before = await store.read("k", None, 1_000_000)
    async with opened(folder, bucket) as store:
        assert await store.read("k", None, 1_000_000) == before
        await store.append("k", Batch([b"more"]))
        assert await whole(store) == [*RECORDS, b"more"]


async def test_forks_and_other_processes_read_the_archive(bucket, tmp_path):
    folder = tmp_path / "streams"
    async with archived(folder, bucket) as store:
        await forked(store, "fork", "k", b"own")
        assert await whole(store, "fork") == [*RECORDS, b"own"]
        reader = FileReader(folder, archive=bucket.url)
        async with reader.run():
            assert await whole(reader, "fork") == [*RECORDS, b"own"]


async def test_a_deleted_stream_leaves_nothing_in_the_archive(bucket, tmp_path):
    async with archived(tmp_path / "streams", bucket) as store:
        await store.create("other", KEPT)
        await store.delete("k")
        assert await asyncio.to_thread(bucket.objects) == []


async def test_trimmed_segments_leave_the_archive(bucket, tmp_path):
    async def few():
        return 0 < len(await asyncio.to_thread(bucket.objects)) < 20

    async with opened(tmp_path / "streams", bucket) as store:
        await made(store, config=StreamConfig(max_bytes=4000, trim=True))
        for n in range(300):
            await store.append("k", Batch([b"%d" % n * 30]))
        kept = await whole(store)
        await eventually(few)
        assert await whole(store) == kept


async def test_while_the_archive_is_away_segments_stay_and_readers_are_told(bucket, tmp_path):
    folder = tmp_path / "streams"
    async with archived(folder, bucket) as store:
        first = await asyncio.to_thread(bucket.objects)
        bucket.go()
        for record in RECORDS:
            await store.append("k", Batch([record]))
        head = (await store.read("k", None, 0)).info.head
        with pytest.raises(Unavailable, match="archive of streams"):
            await store.read("k", None, 1_000_000)
        # Records that are on the disk are read as ever.
        after = head.__class__(head.epoch, head.sequence - 5)
        assert len((await store.read("k", after, 1_000_000)).records) == 5
        bucket.come_back()
        await eventually(lambda: len(data_files(folder)) == 1, 60)
        assert len(await asyncio.to_thread(bucket.objects)) > len(first)
        assert await whole(store) == [*RECORDS, *RECORDS]


async def test_an_object_that_is_lost_is_an_error_and_no_gap(bucket, tmp_path):
    async with archived(tmp_path / "streams", bucket) as store:
        await asyncio.to_thread(bucket.clear)
        with pytest.raises(Unavailable, match="not there"):
            await store.read("k", None, 1_000_000)


@pytest.mark.parametrize("url", ["nothing", "s3://", "ftp://x/y"])
def test_a_bad_archive_is_refused(tmp_path, url):
    with pytest.raises(SettingsError, match="archive"):
        FileStore(tmp_path, archive=url)
