"""The store's own: a Redis that restarts, loses data, fills up; messages that are lost."""

import secrets
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest

from eddyline.errors import SettingsError, Unavailable, UnknownFormat
from eddyline.redis.streams.store import RedisStore
from eddyline.store.base import Batch, Fork, ProducerStamp, StreamConfig
from eddyline.testing import FaultProxy, RedisServer, eventually
from eddyline.testing.store_contract.helpers import (
    KEPT,
    Notes,
    cursors,
    forked,
    gone,
    made,
    state,
    whole,
)


@asynccontextmanager
async def opened(url: str, name: str = "streams") -> AsyncIterator[RedisStore]:
    store = RedisStore(url, name)
    async with store.run():
        yield store


@pytest.fixture
def server(tmp_path):
    with RedisServer(tmp_path, "--appendfsync", "always") as server:
        yield server


async def once_it_is_there(call):
    """The result of a call, when Redis is reached again."""
    results = []

    async def called():
        with suppress(Unavailable):
            results.append(await call())
        return results

    return (await eventually(called))[0]


async def test_a_restart_of_redis_loses_nothing_and_begins_an_epoch(server):
    async with opened(server.url) as store:
        await made(store, b"a")
        stamped = Batch([b"b"], producer=ProducerStamp("p", 0, 0))
        await store.append("k", stamped)
        before = await cursors(store, "k")
        server.stop(signal.SIGKILL)
        with pytest.raises(Unavailable):
            await store.append("k", Batch([b"x"]))
        server.start()
        assert await once_it_is_there(lambda: whole(store)) == [b"a", b"b"]
        assert not (await store.append("k", stamped)).new
        head = (await store.append("k", Batch([b"c"]))).info.head
        assert (head.epoch != before[-1].epoch, head.sequence) == (True, 3)
        for n, cursor in enumerate([*before, head], 1):
            chunk = await store.read("k", cursor, 1000)
            assert (chunk.gap, [r.data for r in chunk.records]) == (None, [b"a", b"b", b"c"][n:])


async def test_no_cursor_of_a_redis_that_lost_its_newest_writes_names_another_record(server):
    async with opened(server.url) as store:
        await made(store, b"a")
        kept = await cursors(store, "k")
        await forked(store, "fork", "k", b"f")
        # The state of a replica that lags: a copy of the data from before the newest writes.
        copy = {
            name: (await store._links[0].call("DUMP", name))
            for name in await store._links[0].call("KEYS", "eddyline:{streams}:*")
        }
        await store.append("k", Batch([b"lost 1", b"lost 2"]))
        lost = (await cursors(store, "k"))[1:]
        server.stop(signal.SIGKILL)
        server.start()
        await once_it_is_there(lambda: store._links[0].call("PING"))
        for name, dump in copy.items():
            await store._links[0].call("RESTORE", name, 0, dump, "REPLACE")
        new = Batch([b"new 1", b"new 2", b"new 3"])
        await once_it_is_there(lambda: store.append("k", new))
        now = await cursors(store, "k")
        assert now[:1] == kept
        assert not set(now) & set(lost)
        for cursor in lost:
            assert (await store.read("k", cursor, 100)).gap == "future"
        assert await once_it_is_there(lambda: whole(store, "fork")) == [b"a", b"f"]
        chunk = await store.read("k", kept[0], 100)
        assert [record.data for record in chunk.records] == [b"new 1", b"new 2", b"new 3"]
        again = Fork("k", now[2])
        own = Batch([b"own"])
        await once_it_is_there(lambda: store.create("again", KEPT, own, again))
        assert await whole(store, "again") == [b"a", b"new 1", b"new 2", b"own"]


async def test_a_primary_that_was_the_replica_of_an_older_copy_begins_an_epoch(tmp_path):
    """Its run id is the same, and its connections stay open; its replication id is another."""
    for name in "PR":
        (tmp_path / name).mkdir()
    at_once = ("--repl-diskless-sync-delay", "0")
    with RedisServer(tmp_path / "P", *at_once) as primary:
        source = ("--replicaof", "127.0.0.1", str(primary.port), *at_once)
        with RedisServer(tmp_path / "R", *source) as replica:
            await eventually(lambda: b"master_link_status:up" in replica.command("INFO"))
            async with opened(primary.url) as store:
                await made(store, b"1")
                records = "XLEN eddyline:{streams}:r:k"
                await eventually(lambda: b":1\r\n" in replica.command(records))
                replica.command("REPLICAOF NO ONE")
                await store.append("k", Batch([b"lost 2", b"lost 3"]))
                kept, *lost = await cursors(store, "k")
                primary.command(f"REPLICAOF 127.0.0.1 {replica.port}")
                await eventually(lambda: b"master_link_status:up" in primary.command("INFO"))
                primary.command("REPLICAOF NO ONE")
                await store.append("k", Batch([b"2", b"3", b"4"]))
                for cursor in lost:
                    assert (await store.read("k", cursor, 100)).gap == "future"
                records = (await store.read("k", kept, 100)).records
                assert [record.data for record in records] == [b"2", b"3", b"4"]


async def test_followers_go_on_after_a_restart_of_redis(server):
    async with opened(server.url) as store, opened(server.url) as writer:
        await made(store, b"a")
        notes = Notes()
        async with store.follow("k", notes):
            await writer.append("k", Batch([b"b"]))
            await eventually(lambda: notes.records)
            server.stop(signal.SIGKILL)
            server.start()
            head = (await once_it_is_there(lambda: writer.append("k", Batch([b"c"])))).info.head
            await eventually(lambda: notes.skipped[-1] == head or notes.records[-1].cursor == head)
            await once_it_is_there(lambda: writer.append("k", Batch([b"d"], "closed")))
            await eventually(lambda: notes.ends)
        assert notes.ends == ["closed"]


async def test_a_follower_misses_nothing_of_a_subscription_that_is_cut(server):
    """All that it is not told it is told to read."""
    async with opened(server.url) as store, opened(server.url) as writer:
        await made(store, b"0")
        notes = Notes()
        async with store.follow("k", notes):
            for n in range(1, 60):
                if n % 20 == 0:
                    server.command("CLIENT KILL TYPE pubsub")
                await writer.append("k", Batch([b"%d" % n]))
            head = (await state(store)).head

            def reached():
                newest = notes.records[-1].cursor.sequence if notes.records else 0
                return max(newest, notes.skipped[-1].sequence) == head.sequence

            await eventually(reached)
        sequences = [record.cursor.sequence for record in notes.records]
        assert sequences == sorted(set(sequences))
        for record in notes.records:
            assert record.data == b"%d" % (record.cursor.sequence - 1)


async def test_a_process_sees_the_writes_and_ends_of_another(redis_url):
    name = secrets.token_hex(8)
    async with opened(redis_url, name) as store, opened(redis_url, name) as writer:
        await made(store)
        async with AsyncExitStack() as stack:
            followers = [Notes() for _ in range(3)]
            for notes in followers:
                await stack.enter_async_context(store.follow("k", notes))
            for n in range(20):
                await writer.append("k", Batch([b"%d" % n, b""]))
            await writer.append("k", Batch([b"last"], "failed"))
            await eventually(lambda: all(notes.ends for notes in followers))
            for notes in followers:
                assert [record.data for record in notes.records] == await whole(store)
                assert [record.cursor for record in notes.records] == await cursors(store, "k")
                assert notes.ends == ["failed"]


async def test_a_write_that_is_too_long_for_a_message_is_read(redis_url):
    async with opened(redis_url, secrets.token_hex(8)) as store:
        await made(store)
        notes = Notes()
        async with store.follow("k", notes):
            head = (await store.append("k", Batch([b"x" * 1_500_000, b"y"]))).info.head
            await eventually(lambda: notes.skipped[-1] == head)
            await store.append("k", Batch([b"z"]))
            await eventually(lambda: notes.records)
        assert [record.data for record in notes.records] == [b"z"]
        assert (await whole(store))[1:] == [b"y", b"z"]


async def test_a_stream_that_another_process_follows_does_not_expire(redis_url):
    name = secrets.token_hex(8)
    async with opened(redis_url, name) as store, opened(redis_url, name) as other:
        await store.create("other", StreamConfig(ttl=3.0))
        await made(store, config=StreamConfig(ttl=0.6))
        async with other.follow("k", Notes()):
            await gone(store, "other")
            assert (await state(store)).end is None
        await gone(store)


async def test_a_stream_that_expires_is_gone_for_followers_of_its_time(redis_url, monkeypatch):
    monkeypatch.setattr("eddyline.redis.streams.store.SWEEP", 0.05)
    async with opened(redis_url, secrets.token_hex(8)) as store:
        await made(store, config=StreamConfig(expires_at=time.time() + 0.3))
        notes = Notes()
        async with store.follow("k", notes):
            await eventually(lambda: notes.ends)
        assert notes.ends == [None]


async def test_stores_of_two_databases_hear_nothing_of_each_other(redis_url):
    """Redis's pub/sub knows no databases: redis.io/docs, "Pub/Sub", "Database & scoping"."""
    name, other_url = secrets.token_hex(8), redis_url.removesuffix("/0") + "/1"
    async with opened(redis_url, name) as store, opened(other_url, name) as other:
        await made(store)
        await made(other)
        notes = Notes()
        async with store.follow("k", notes):
            await other.append("k", Batch([b"theirs"], "closed"))
            await store.append("k", Batch([b"ours"]))
            await eventually(lambda: notes.records)
        assert [record.data for record in notes.records] == [b"ours"]
        assert notes.ends == []


async def test_a_full_redis_refuses_writes_and_still_reads(server):
    async with opened(server.url) as store:
        await made(store, b"a")
        server.command("CONFIG SET maxmemory 1mb")
        with pytest.raises(Unavailable, match="does not take it now"):
            await store.append("k", Batch([b"x" * 1000]))
        with pytest.raises(Unavailable, match="does not take it now"):
            await store.create("other", KEPT)
        assert await whole(store) == [b"a"]
        server.command("CONFIG SET maxmemory 0")
        await once_it_is_there(lambda: store.append("k", Batch([b"b"])))
        assert await whole(store) == [b"a", b"b"]


async def test_a_later_format_ends_the_start(redis_url):
    name = secrets.token_hex(8)
    async with opened(redis_url, name) as store:
        await made(store)
        await store._links[0].call("HSET", f"eddyline:{{{name}}}:meta", "format", "2")
    with pytest.raises(UnknownFormat, match="format 2"):
        async with opened(redis_url, name):
            pass


async def test_orders_are_compared_by_bytes(redis_url):
    """Lua's own comparison follows the locale (Lua 5.1 reference manual, section 2.5.2)."""
    orders = [b"", b"\0", b"\0\0", b"A", b"B", b"a", b"a\0", b"\x7f", b"\x80", b"\xff", b"\xff\xff"]
    async with opened(redis_url, secrets.token_hex(8)) as store:
        await made(store)
        for order in orders:
            assert (await store.append("k", Batch([b"x"], order=order))).new


async def test_an_empty_redis_that_is_away_does_not_end_the_start(tmp_path):
    server = RedisServer(tmp_path)
    async with opened(server.url) as store:
        with pytest.raises(Unavailable):
            await store.create("k", KEPT)
        with server:
            await once_it_is_there(lambda: store.create("k", KEPT))


@pytest.mark.parametrize("name", ["", "a{b}"])
def test_a_bad_name_is_refused(name):
    with pytest.raises(SettingsError, match="name="):
        RedisStore.from_url(f"redis://127.0.0.1:1/0?name={name}")


async def test_a_read_whose_connection_was_lost_is_done_again_at_once(server):
    async with FaultProxy(server.port) as proxy:
        async with opened(f"redis://127.0.0.1:{proxy.port}") as store:
            await made(store, b"a")
            for _ in range(3):
                proxy.cut()
                assert await whole(store) == [b"a"]
