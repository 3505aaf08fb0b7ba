"""Journals that must not be taken for one: of two databases, and before and after data went back.

Redis's pub/sub knows no databases (redis.io, "Redis Pub/Sub", section Database & Scoping). A
server's run id stays where its data go back. It becomes the replica of an older copy and is
promoted again: that changes its replication id (redis.io, "Redis replication", Replication ID).
Or a backup is restored into it, which changes nothing.
"""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from eddyline.journal.base import Entry, NewEntry
from eddyline.journal.cursor import Cursor
from eddyline.redis.journal import RedisJournal
from eddyline.testing import RedisServer, eventually


class Reader:
    """A follower that knows all that it was told."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.skips: list[Cursor] = []
        self.ephemeral: list[str] = []
        self.signals: list[bytes] = []

    def deliver(self, entry: Entry) -> None:
        self.entries.append(entry)

    def skip(self, head: Cursor) -> None:
        self.skips.append(head)

    def deliver_ephemeral(self, topic: str, data: str) -> None:
        self.ephemeral.append(data)

    def signal(self, message: bytes) -> None:
        self.signals.append(message)

    @property
    def texts(self) -> list[str]:
        return [entry.data for entry in self.entries]


@asynccontextmanager
async def following(url: str) -> AsyncIterator[tuple[RedisJournal, Reader]]:
    reader = Reader()
    async with RedisJournal(url) as journal, journal.follow(reader):
        yield journal, reader


async def append(journal: RedisJournal, *texts: str) -> list[Cursor]:
    receipts = await journal.append([NewEntry("t", text, private=True) for text in texts])
    return [receipt.cursor for receipt in receipts]


async def test_hubs_of_two_databases_hear_nothing_of_each_other(tmp_path):
    with RedisServer(tmp_path) as server:
        base = f"redis://127.0.0.1:{server.port}"
        async with following(f"{base}/0") as (a, in_a), following(f"{base}/1") as (b, in_b):
            for n in range(3):
                await append(a, f"secret of A {n}")
            await a.signal(b"kick")
            await b.signal(b"other")
            server.command("PUBLISH eddyline:live:t of-A")
            server.command("PUBLISH eddyline:live@1:t of-B")
            await append(b, "of B")
            await eventually(lambda: in_a.signals and in_b.signals and in_b.entries)
            await eventually(lambda: len(in_a.entries) == 3 and in_a.ephemeral and in_b.ephemeral)
            assert (in_b.texts, in_b.signals, in_b.ephemeral) == (["of B"], [b"other"], ["of-B"])
            assert (in_a.signals, in_a.ephemeral) == ([b"kick"], ["of-A"])
            assert (len(in_a.skips), len(in_b.skips)) == (1, 1), "the others' entries are no holes"


async def test_an_entry_of_another_epoch_is_never_delivered(tmp_path):
    """A hub of an older version may send it, or a bridge between two servers."""
    with RedisServer(tmp_path) as server:
        async with following(server.url) as (journal, reader):
            await append(journal, "1")
            await eventually(lambda: reader.entries)
            record = b'[["t"],false,false,null,0]\ndata: forged\n\n'
            message = b"0000ffff 2 1\n" + struct.pack(">I", len(record)) + record
            await journal.link.call("PUBLISH", journal.keys.bus, message)
            await append(journal, "2")
            await eventually(lambda: len(reader.entries) == 2)
            assert reader.texts == ["1", "2"]
            assert len(reader.skips) == 1


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[RedisServer, RedisServer]]:
    """A primary and its replica."""
    for name in "PR":
        (tmp_path / name).mkdir()
    at_once = ("--repl-diskless-sync-delay", "0")
    with RedisServer(tmp_path / "P", *at_once) as primary:
        source = ("--replicaof", "127.0.0.1", str(primary.port), *at_once)
        with RedisServer(tmp_path / "R", *source) as replica:
            await eventually(lambda: b"master_link_status:up" in replica.command("INFO"))
            yield primary, replica


async def test_a_primary_that_was_the_replica_of_an_older_copy_tells(pair):
    """Its run id is the same, and its connections stay open; its replication id is another."""
    primary, replica = pair
    async with RedisJournal(primary.url) as journal:
        before = await append(journal, "1", "2")
        await eventually(lambda: b":2\r\n" in replica.command("XLEN eddyline:{events}:journal"))
        replica.command("REPLICAOF NO ONE")
        lost = await append(journal, "3", "4", "5")
        primary.command(f"REPLICAOF 127.0.0.1 {replica.port}")
        await eventually(lambda: b"master_link_status:up" in primary.command("INFO"))
        primary.command("REPLICAOF NO ONE")
    # A process that knows nothing of the lost entries is the first to come back.
    async with RedisJournal(primary.url) as fresh:
        await append(fresh, "other 3", "other 4", "other 5", "other 6")
        for cursor in lost:
            assert (await fresh.read(cursor, 9)).gap == "epoch"
        page = await fresh.read(before[1], 9)
        assert page.entries[0].data == "other 3"


async def test_a_backup_that_was_restored_into_a_running_server_tells(tmp_path):
    """Neither run id nor replication id changes: the processes know the entries that were there."""
    with RedisServer(tmp_path) as server:
        async with following(server.url) as (journal, reader):
            before = await append(journal, "1", "2")
            kept = {name: await journal.link.call("DUMP", name) for name in journal.keys.journal}
            lost = await append(journal, "3", "4", "5")
            await eventually(lambda: len(reader.entries) == 5)
            for name, value in kept.items():
                await journal.link.call("DEL", name)
                if value is not None:
                    await journal.link.call("RESTORE", name, 0, value)
            await append(journal, "other 3", "other 4", "other 5", "other 6")
            for cursor in lost:
                assert (await journal.read(cursor, 9)).gap == "epoch"
            page = await journal.read(before[1], 9)
            assert [entry.data for entry in page.entries] == [f"other {n}" for n in range(3, 7)]
            await eventually(lambda: len(reader.skips) == 2)


async def test_a_listener_finds_out_that_data_went_back_without_an_append(tmp_path):
    with RedisServer(tmp_path) as server:
        async with following(server.url) as (journal, reader):
            [one, _] = await append(journal, "1", "2")
            await eventually(lambda: len(reader.entries) == 2)
            await journal.link.call("HSET", journal.keys.key("meta"), "sequence", 1)
            await asyncio.wait_for(eventually(lambda: len(reader.skips) == 2), 20)
            assert reader.skips[1].sequence == 1
            assert reader.skips[1].epoch != one.epoch
