"""The journal behind Sentinels: a failover costs the entries that the replica lacked, and tells."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from eddyline.errors import Unavailable
from eddyline.journal.base import Entry, NewEntry
from eddyline.redis.journal import RedisJournal
from eddyline.testing import REDIS, FaultProxy, RedisServer, eventually, free_port
from eddyline.wire.sse import Parser

CONFIGURATION = """port {port}
bind 127.0.0.1
dir {folder}
sentinel monitor main 127.0.0.1 {primary} 1
sentinel down-after-milliseconds main 500
sentinel failover-timeout main 5000
"""


@dataclass
class Site:
    """A primary, a replica that replicates through a proxy, and a Sentinel that watches both."""

    primary: RedisServer
    replica: RedisServer
    replication: FaultProxy
    sentinel: int

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.sentinel}/main/0"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    for name in ("primary", "replica", "sentinel"):
        (tmp_path / name).mkdir()
    at_once = ("--repl-diskless-sync-delay", "0")
    with RedisServer(tmp_path / "primary", *at_once) as primary:
        async with FaultProxy(primary.port) as proxy:
            # The replica tells its own port, which is where the Sentinel finds it.
            source = ("--replicaof", "127.0.0.1", str(proxy.port))
            replica = RedisServer(tmp_path / "replica", *source)
            await asyncio.to_thread(replica.start)
            try:
                await eventually(lambda: b"master_link_status:up" in replica.command("INFO"))
                async with sentinel(tmp_path / "sentinel", primary) as port:
                    yield Site(primary, replica, proxy, port)
            finally:
                replica.stop(signal.SIGKILL)


@asynccontextmanager
async def sentinel(folder: Path, primary: RedisServer) -> AsyncIterator[int]:
    port = free_port()
    path = folder / "sentinel.conf"
    path.write_text(CONFIGURATION.format(port=port, folder=folder, primary=primary.port))
    with (folder / "log").open("wb") as log:
        command = [*REDIS, str(path), "--sentinel"]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    probe = RedisServer(folder)
    probe.port = port
    try:
        await eventually(lambda: b"slaves=1" in probe.command("INFO sentinel"))
        yield port
    finally:
        process.kill()
        process.wait()


class Reader:
    """A follower that asserts an unbroken row, but for the entries that it was told to skip."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.skips = 0
        self._sequence = 0

    def deliver(self, entry: Entry) -> None:
        assert entry.cursor.sequence == self._sequence + 1
        self._sequence = entry.cursor.sequence
        self.texts.append(text(entry))

    def skip(self, head) -> None:  # type: ignore[no-untyped-def]
        self._sequence = head.sequence
        self.skips += 1

    def deliver_ephemeral(self, topic: str, data: str) -> None: ...

    def signal(self, message: bytes) -> None: ...


def text(entry: Entry) -> str:
    [event] = Parser().feed(entry.frame)
    return event.data


async def append(journal: RedisJournal, each: str):  # type: ignore[no-untyped-def]
    """As a publisher does: again and again, with a key, until it is taken."""

    async def taken():  # type: ignore[no-untyped-def]
        with suppress(Unavailable):
            [receipt] = await journal.append([NewEntry("t", each, key=each)])
            return receipt.cursor

    return await eventually(taken, 40)


async def test_a_failover_costs_nobody_the_place(site):
    reader = Reader()
    async with RedisJournal(site.url) as journal, journal.follow(reader):
        cursors = [await append(journal, str(n)) for n in range(5)]
        assert site.primary.command("WAIT 1 5000") is not None
        await eventually(lambda: b"sequence\r\n$1\r\n5" in meta(site.replica))
        site.primary.stop(signal.SIGKILL)
        await append(journal, "5")
        await eventually(lambda: reader.texts == list("012345"))
        await eventually(lambda: journal.fault is None)
        assert [text(e) for e in (await journal.read(cursors[2], 9)).entries] == ["3", "4", "5"]
        assert [text(e) for e in (await journal.read(cursors[4], 9)).entries] == ["5"]


async def test_a_tail_that_was_not_replicated_is_told_to_those_who_saw_it(site):
    reader = Reader()
    async with RedisJournal(site.url) as journal, journal.follow(reader):
        cursors = [await append(journal, str(n)) for n in range(3)]
        await eventually(lambda: b"sequence\r\n$1\r\n3" in meta(site.replica))
        site.replication.freeze()
        cursors += [await append(journal, "lost") for _ in range(1)]
        await eventually(lambda: reader.texts == ["0", "1", "2", "lost"])
        site.primary.stop(signal.SIGKILL)
        site.replication.cut()
        for each in ("new 3", "new 4", "new 5"):
            await append(journal, each)
        await eventually(lambda: reader.skips == 2)
        # The lost entry's number was given again, and no cursor at it means the new one.
        assert (await journal.read(cursors[3], 9)).gap == "epoch"
        found = [text(e) for e in (await journal.read(cursors[2], 9)).entries]
        assert found == ["new 3", "new 4", "new 5"]


async def test_a_demoted_primary_is_left(site):
    """It stays up, its connections too, and it even passes messages on: as a replica."""
    reader = Reader()
    async with RedisJournal(site.url) as journal, journal.follow(reader):
        await append(journal, "0")
        await eventually(lambda: b"sequence\r\n$1\r\n1" in meta(site.replica))
        ask = RedisServer(Path())
        ask.port = site.sentinel
        # It has to know the replica well first.
        await eventually(lambda: ask.command("SENTINEL FAILOVER main") == b"+OK\r\n")
        await eventually(lambda: b"role:master" in site.replica.command("INFO replication"))
        await eventually(lambda: b"role:slave" in site.primary.command("INFO replication"), 60)
        await append(journal, "1")
        await eventually(lambda: reader.texts == ["0", "1"])
        await eventually(lambda: journal.fault is None)


def meta(server: RedisServer) -> bytes:
    return server.command("HGETALL eddyline:{events}:meta")
