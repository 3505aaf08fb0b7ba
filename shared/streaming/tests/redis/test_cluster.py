"""The journal on a Redis Cluster: all keys of a hub in one slot, wherever that slot is."""

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from eddyline.errors import Unavailable
from eddyline.journal.base import Entry, NewEntry
from eddyline.redis.journal import RedisJournal
from eddyline.testing import RedisServer, eventually
from eddyline.wire.sse import Parser

NODES = 3
SLOTS = 16384


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[list[RedisServer]]:
    with ExitStack() as stack:
        nodes = []
        for index in range(NODES):
            folder = tmp_path / str(index)
            folder.mkdir()
            options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
            nodes.append(stack.enter_context(RedisServer(folder, *options)))
        bounds = [SLOTS * n // NODES for n in range(NODES + 1)]
        for node, (first, end) in zip(nodes, itertools.pairwise(bounds), strict=True):
            slots = " ".join(map(str, range(first, end)))  # ADDSLOTSRANGE is not in 6.2
            assert node.command(f"CLUSTER ADDSLOTS {slots}") == b"+OK\r\n"
            assert nodes[0].command(f"CLUSTER MEET 127.0.0.1 {node.port}") == b"+OK\r\n"
        yield nodes


async def formed(nodes: list[RedisServer]) -> None:
    await eventually(lambda: all(b"cluster_state:ok" in n.command("CLUSTER INFO") for n in nodes))


def url(nodes: list[RedisServer]) -> str:
    return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)


class Reader:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def deliver(self, entry: Entry) -> None:
        [event] = Parser().feed(entry.frame)
        self.texts.append(event.data)

    def skip(self, head) -> None: ...  # type: ignore[no-untyped-def]

    def deliver_ephemeral(self, topic: str, data: str) -> None: ...

    def signal(self, message: bytes) -> None: ...


async def test_any_node_leads_to_the_hubs_slot(cluster):
    await formed(cluster)
    for first in range(NODES):
        nodes = cluster[first:] + cluster[:first]
        reader = Reader()
        hub = f"hub-{first}"
        async with RedisJournal(url(nodes), hub) as journal, journal.follow(reader):
            new = NewEntry("t", "x", id="own", key="k")
            await journal.append([new, NewEntry("t", "y"), new])
            await eventually(lambda reader=reader: reader.texts == ["x", "y"])
            assert len((await journal.read(None, 9)).entries) == 2
            assert (await journal.locate("own")).cursor.sequence == 1
            assert [topic for topic, _ in await journal.topics(9)] == ["t"]


async def test_a_slot_that_moves_takes_the_hub_with_it(cluster):
    await formed(cluster)
    reader = Reader()
    async with RedisJournal(url(cluster)) as journal, journal.follow(reader):
        cursors = [(await journal.append([NewEntry("t", str(n))]))[0].cursor for n in range(3)]
        await asyncio.to_thread(move_slot, cluster, slot_of(cluster[0], journal.keys.prefix))
        await eventually(lambda: taken(journal, NewEntry("t", "3", key="3")), 30)
        await eventually(lambda: reader.texts == ["0", "1", "2", "3"])
        assert len((await journal.read(cursors[0], 9)).entries) == 3
        await eventually(lambda: journal.fault is None)


async def taken(journal: RedisJournal, entry: NewEntry) -> bool:
    """As a publisher does: again and again, with a key."""
    with suppress(Unavailable):
        await journal.append([entry])
        return True
    return False


def slot_of(node: RedisServer, key: str) -> int:
    return int(node.command(f"CLUSTER KEYSLOT {key}").strip(b":\r\n"))


def move_slot(nodes: list[RedisServer], slot: int) -> None:
    """As `redis-cli --cluster reshard` does."""
    ids = [node.command("CLUSTER MYID").split(b"\r\n")[1].decode() for node in nodes]
    counts = [node.command(f"CLUSTER COUNTKEYSINSLOT {slot}") for node in nodes]
    [source] = [index for index, count in enumerate(counts) if count != b":0\r\n"]
    target = (source + 1) % len(nodes)
    nodes[target].command(f"CLUSTER SETSLOT {slot} IMPORTING {ids[source]}")
    nodes[source].command(f"CLUSTER SETSLOT {slot} MIGRATING {ids[target]}")
    answer = nodes[source].command(f"CLUSTER GETKEYSINSLOT {slot} 100").split(b"\r\n")
    keys = [line.decode() for line in answer if line.startswith(b"eddyline")]
    names = " ".join(f'"{key}"' for key in keys)
    moved = nodes[source].command(f'MIGRATE 127.0.0.1 {nodes[target].port} "" 0 5000 KEYS {names}')
    assert moved == b"+OK\r\n", moved
    for index in (target, source, 3 - source - target):
        assert nodes[index].command(f"CLUSTER SETSLOT {slot} NODE {ids[target]}") == b"+OK\r\n"
