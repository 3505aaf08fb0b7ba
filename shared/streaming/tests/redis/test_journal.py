"""The Redis journal's own behaviour: retention, epochs, faults of the server and of the way to it.
The contract that all journals keep is in journal/test_base.py.
"""

import asyncio
import secrets
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from eddyline.errors import BadRequest, SettingsError, Unavailable
from eddyline.journal.base import Entry, NewEntry
from eddyline.journal.cursor import Cursor
from eddyline.journal.window import ENTRY_OVERHEAD
from eddyline.redis.journal import RedisJournal
from eddyline.redis.link import RedisLink
from eddyline.redis.primary import Primary
from eddyline.telemetry.metrics import BusMetrics
from eddyline.testing import FaultProxy, RedisServer, eventually
from eddyline.wire.sse import Parser


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A redis-server that the test may break."""
    with RedisServer(tmp_path) as started:
        yield started


class Reader:
    """A follower that knows its entries, and those that it was told are missing."""

    def __init__(self) -> None:
        self.head: Cursor | None = None
        self.entries: list[Entry] = []
        self.skips: list[Cursor] = []
        self.ephemeral: list[tuple[str, str]] = []

    def deliver(self, entry: Entry) -> None:
        assert self.head is not None
        assert entry.cursor.sequence == self.head.sequence + 1
        self.head = entry.cursor
        self.entries.append(entry)

    def skip(self, head: Cursor) -> None:
        self.head = head
        self.skips.append(head)

    def deliver_ephemeral(self, topic: str, data: str) -> None:
        self.ephemeral.append((topic, data))

    def signal(self, message: bytes) -> None: ...

    @property
    def texts(self) -> list[str]:
        return [text(entry) for entry in self.entries]


def text(entry: Entry) -> str:
    [event] = Parser().feed(entry.frame)
    return event.data


async def append(journal: RedisJournal, *texts: str, **options: Any) -> list[Cursor]:
    batch = [NewEntry("t", each, **options) for each in texts]
    return [receipt.cursor for receipt in await journal.append(batch)]


async def append_until_taken(journal: RedisJournal, each: str) -> None:
    async def taken() -> bool:
        with suppress(Unavailable):
            await append(journal, each, key=each)
            return True
        return False

    await eventually(taken)


@asynccontextmanager
async def following(journal: RedisJournal) -> AsyncIterator[Reader]:
    reader = Reader()
    async with journal.follow(reader):
        yield reader


async def test_retention_by_count(redis_url):
    async with RedisJournal(redis_url, secrets.token_hex(8), max_entries=10) as journal:
        cursors = await append(journal, *map(str, range(25)))
        page = await journal.read(None, 100)
        assert [text(entry) for entry in page.entries] == list(map(str, range(15, 25)))
        assert (await journal.read(cursors[13], 100)).lost == ("t",)
        assert (await journal.read(cursors[14], 100)).entries == page.entries


async def test_retention_by_bytes_keeps_the_newest_however_large(redis_url):
    async with RedisJournal(redis_url, secrets.token_hex(8), max_bytes=10_000) as journal:
        await append(journal, *["x" * 1000 for _ in range(50)])
        assert 4 <= len((await journal.read(None, 100)).entries) <= 6
        await append(journal, "x" * 100_000)
        assert [len(text(e)) for e in (await journal.read(None, 100)).entries] == [100_000]


async def test_retention_by_age_forgets_ids_and_topics_too(redis_url):
    async with RedisJournal(redis_url, secrets.token_hex(8), max_age=0.3) as journal:
        [cursor] = await append(journal, "x", id="own")
        found = await journal.locate("own")
        assert found is not None
        assert found.cursor == cursor

        async def is_empty() -> bool:
            return not (await journal.read(None, 1)).entries

        await eventually(is_empty)
        page = await journal.read(Cursor(cursor.epoch, 0), 1)
        assert (page.gap, page.oldest, page.head) == ("trimmed", cursor, cursor)
        assert (await journal.read(cursor, 1)).gap is None
        assert await journal.locate("own") is None
        assert await journal.topics(10) == []
        assert (await append(journal, "y"))[0].sequence == 2


@pytest.mark.parametrize("way", ["expired", "evicted"])
async def test_a_stream_that_went_as_a_whole_hides_no_hole(redis_url, way):
    """The next call may be an append, before anything was read."""
    async with RedisJournal(redis_url, secrets.token_hex(8), max_age=1.0) as journal:
        one, _, three = await append(journal, "1", "2", "3")
        if way == "evicted":
            await journal.link.call("DEL", journal.keys.key("journal"))

        async def is_gone() -> bool:
            return not await journal.link.call("EXISTS", journal.keys.key("journal"))

        await eventually(is_gone)
        await append(journal, "4")
        assert (await journal.read(one, 9)).gap == "trimmed"
        assert [text(e) for e in (await journal.read(three, 9)).entries] == ["4"]
        counted = int(await journal.link.call("HGET", journal.keys.key("meta"), "bytes"))
        assert counted < 2 * ENTRY_OVERHEAD, "entries that went still count"


async def test_pages_are_bounded_by_bytes(redis_url):
    async with RedisJournal(redis_url, secrets.token_hex(8)) as journal:
        await append(journal, *["x" * 30_000 for _ in range(20)])
        assert 1 <= len((await journal.read(None, 256)).entries) <= 4


async def test_a_bad_entry_spoils_no_other(redis_url):
    async with RedisJournal(redis_url, secrets.token_hex(8)) as journal:
        with pytest.raises(BadRequest):
            await journal.append([NewEntry("t", "good"), NewEntry("t", "\ud800")])
        assert (await journal.read(None, 1)).head.sequence == 0


async def test_many_appends_at_once_go_in_few_batches(redis_url):
    async with RedisJournal(redis_url, secrets.token_hex(8)) as journal:
        await asyncio.gather(*(append(journal, str(n)) for n in range(2000)))
        assert (await journal.read(None, 1)).head.sequence == 2000
        assert journal._batch < 50


async def test_a_message_of_any_client_of_redis_is_an_ephemeral_event(redis_url):
    async with RedisJournal(redis_url) as journal, following(journal) as reader:
        await journal.link.call("PUBLISH", "eddyline:live:a/b", "text\nas it is")
        await eventually(lambda: reader.ephemeral)
        assert reader.ephemeral == [("a/b", "text\nas it is")]
        assert reader.entries == []


async def test_hubs_are_apart(redis_url):
    one, two = RedisJournal(redis_url, "one"), RedisJournal(redis_url, "two")
    async with one, two, following(one) as reader, following(two) as other:
        await append(two, "for two")
        await append(one, "for one")
        await two.link.call("PUBLISH", "eddyline:two:live:t", "live")
        await eventually(lambda: other.ephemeral and reader.entries)
        assert (reader.texts, other.texts) == (["for one"], ["for two"])
        assert reader.ephemeral == []


async def test_a_full_redis_that_restarts_can_be_read(tmp_path):
    limit = ("--maxmemory", "8mb", "--maxmemory-policy", "noeviction")
    with RedisServer(tmp_path, *limit) as server:
        async with RedisJournal(server.url) as journal:
            [_, last] = await append(journal, "1", "2")
            server.command(f"SETRANGE filler {8 * 1024 * 1024} x")
            with pytest.raises(Unavailable):
                await append(journal, "refused")
            server.stop(signal.SIGKILL)
            server.start()
            async with following(journal):  # its bus is proven
                page = await journal.read(None, 10)
            assert [text(entry) for entry in page.entries] == ["1", "2"]
            assert page.entries[-1].cursor == last
            assert page.head.epoch != last.epoch
            with pytest.raises(Unavailable):
                await append(journal, "still refused")


async def test_it_tells_how_full_redis_is(server):
    def seen(what: str) -> float | None:
        return REGISTRY.get_sample_value(f"eddyline_redis_memory_{what}", {"hub": "full"})

    server.command("CONFIG SET maxmemory 64mb")
    async with (
        RedisJournal(server.url, "full", meter=BusMetrics("full")) as journal,
        following(journal),
    ):
        assert await eventually(lambda: seen("limit_bytes")) == 64 * 1024 * 1024
        used = seen("bytes")
        assert used is not None
        assert 0 < used < 16 * 1024 * 1024


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_restart_with_its_data_costs_nobody_the_place(server, number):
    async with RedisJournal(server.url) as journal, following(journal) as reader:
        before = await append(journal, "1", "2", "3")
        await eventually(lambda: len(reader.entries) == 3)
        server.stop(number)
        with pytest.raises(Unavailable):
            await append(journal, "refused")
        assert "not proven" in (journal.fault or "")
        server.start()
        await append_until_taken(journal, "4")
        await eventually(lambda: len(reader.entries) == 4 and journal.fault is None)
        # Another life, another epoch: cursors of the one before stay good.
        assert reader.entries[-1].cursor.epoch != before[0].epoch
        assert reader.texts == ["1", "2", "3", "4"]
        assert [text(e) for e in (await journal.read(before[1], 9)).entries] == ["3", "4"]
        assert [text(e) for e in (await journal.read(before[2], 9)).entries] == ["4"]
        [first, *_] = reader.skips
        assert reader.skips in ([first], [first, Cursor(reader.entries[-1].cursor.epoch, 3)])


async def test_a_restart_without_the_tail_is_told_to_those_who_saw_it(tmp_path):
    with RedisServer(tmp_path, "--appendonly", "no") as server:
        async with RedisJournal(server.url) as journal, following(journal) as reader:
            cursors = await append(journal, "1", "2", "3")
            server.command("SAVE")
            cursors += await append(journal, "4", "5")
            await eventually(lambda: len(reader.entries) == 5)
            server.stop(signal.SIGKILL)
            server.start()
            await append_until_taken(journal, "other 4")
            await append_until_taken(journal, "other 5")
            await append_until_taken(journal, "other 6")
            # The numbers were given again: a client of the lost entries must not go on after them.
            for cursor in cursors[3:]:
                assert (await journal.read(cursor, 9)).gap == "epoch"
            page = await journal.read(cursors[2], 9)
            assert [text(e) for e in page.entries] == ["other 4", "other 5", "other 6"]
            await eventually(lambda: len(reader.skips) == 2)


@pytest.mark.parametrize("way", ["flush", "restart"])
async def test_an_emptied_redis_is_another_life(server, way, tmp_path):
    async with RedisJournal(server.url) as journal, following(journal) as reader:
        [*_, last] = await append(journal, "1", "2")
        await eventually(lambda: len(reader.entries) == 2)
        if way == "flush":
            server.command("FLUSHALL")
        else:
            server.stop(signal.SIGKILL)
            for path in tmp_path.rglob("appendonly*"):  # of 6.2 a file, since 7 a folder of them
                if path.is_file():
                    path.unlink()
            server.start()
        await eventually(lambda: len(reader.skips) == 2)
        assert reader.head is not None
        assert (reader.head.sequence, reader.head.epoch != last.epoch) == (0, True)
        await append_until_taken(journal, "new")
        await eventually(lambda: len(reader.entries) == 3)
        assert (await journal.read(last, 9)).gap == "epoch"


async def test_a_cut_subscription_misses_nothing(server):
    async with RedisJournal(server.url) as journal, following(journal) as reader:
        for n in range(300):
            await append(journal, str(n))
            if n % 50 == 25:
                server.command("CLIENT KILL TYPE pubsub")
        await eventually(lambda: len(reader.entries) == 300)
        assert reader.texts == list(map(str, range(300)))
        assert len(reader.skips) == 1


async def test_a_message_that_the_bus_leaves_out_is_read_in_the_journal(server):
    """As a replica behind does, or a server that ran out of buffer."""
    async with RedisJournal(server.url) as journal, following(journal) as reader:
        await append(journal, "1")
        await eventually(lambda: len(reader.entries) == 1)
        silent = RedisJournal(server.url)
        silent.keys = replace(silent.keys, bus="elsewhere")
        async with silent:
            await append(silent, "2")
            await append(journal, "3")
            await eventually(lambda: len(reader.entries) == 3)
            # The last one, with nothing after it: a probe finds out.
            await append(silent, "4")
            await eventually(lambda: len(reader.entries) == 4)
        assert reader.texts == ["1", "2", "3", "4"]


async def test_a_frozen_redis_is_noticed_and_come_back_from(server):
    async with FaultProxy(server.port) as proxy:
        journal = RedisJournal(f"redis://127.0.0.1:{proxy.port}")
        async with journal, following(journal) as reader:
            await append(journal, "1")
            await eventually(lambda: len(reader.entries) == 1)
            assert journal.fault is None
            proxy.freeze()
            with pytest.raises(Unavailable):
                await append(journal, "2", key="2")
            await eventually(lambda: journal.fault is not None)
            async with RedisJournal(server.url) as direct:
                await append(direct, "meanwhile")
            proxy.thaw()
            await append_until_taken(journal, "2")
            await eventually(lambda: journal.fault is None)
            await eventually(lambda: len(reader.entries) == 3)
            assert sorted(reader.texts) == ["1", "2", "meanwhile"]


@pytest.mark.parametrize("seed", range(3))
async def test_appends_over_a_cut_connection_are_there_once(server, seed):
    """An answer that is lost on its way: nothing is done twice."""
    async with FaultProxy(server.port) as proxy:
        proxy.cut_after = 5000 + 777 * seed
        async with RedisJournal(f"redis://127.0.0.1:{proxy.port}") as journal:
            cursors = [(await append(journal, str(n)))[0] for n in range(400)]
        async with RedisJournal(server.url) as direct:
            found: list[Entry] = []
            while page := (await direct.read(found[-1].cursor if found else None, 256)).entries:
                found += page
    assert [text(entry) for entry in found] == list(map(str, range(400)))
    assert [entry.cursor for entry in found] == cursors


async def test_a_connection_that_was_lost_while_idle_is_replaced(server):
    async with FaultProxy(server.port) as proxy:
        link = RedisLink(Primary(f"redis://127.0.0.1:{proxy.port}", "hub"))
        assert await link.call("PING") == b"PONG"
        writer = link._connection.raw._writer
        proxy.cut()
        await eventually(writer.is_closing)
        with pytest.raises(Unavailable):
            await link.call("PING")
        assert await link.call("PING") == b"PONG"
        await link.close()


async def test_without_redis_it_starts_and_is_there_when_redis_comes(tmp_path):
    server = RedisServer(tmp_path)
    async with RedisJournal(server.url) as journal, following(journal) as reader:
        assert "not proven" in (journal.fault or "")
        assert reader.head is None
        with server:
            await eventually(lambda: journal.fault is None)
            await append(journal, "1")
            await eventually(lambda: reader.texts == ["1"])


async def test_a_process_that_starts_has_what_was_published_before(redis_url, monkeypatch):
    monkeypatch.setattr("eddyline.redis.listener.BACKLOG", 1000)
    hub = secrets.token_hex(8)
    async with RedisJournal(redis_url, hub) as journal:
        await append(journal, *map(str, range(3000)))
        async with following(journal) as reader:
            assert len(reader.entries) == 1000
            assert reader.entries[-1].cursor.sequence == 3000


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://localhost", "'http'"),
        ("redis+other://localhost", "redis+other"),
        ("redis+sentinel://localhost:26379", "name the primary"),
        ("redis://localhost:port", "not one"),
    ],
)
def test_a_bad_url_is_refused(url, complaint):
    with pytest.raises(SettingsError, match=complaint.replace("+", r"\+")):
        Primary(url, "x")


async def test_whoever_starts_amid_appends_gets_a_row_without_hole_or_twin(redis_url):
    """Entries between the subscription and the reading of the stream come twice to it."""
    async with RedisJournal(redis_url, secrets.token_hex(8)) as journal:
        publishing = asyncio.create_task(append_many(journal, 800))
        readers: list[Reader] = []
        async with AsyncExitStack() as stack:
            while not publishing.done():
                # A reader asserts, with each entry, that it is the next one.
                readers.append(await stack.enter_async_context(following(journal)))
            await publishing
            await eventually(lambda: all(r.head.sequence == 800 for r in readers if r.head))
        assert len(readers) > 5
        assert all(reader.entries[-1].cursor.sequence == 800 for reader in readers)


async def append_many(journal: RedisJournal, count: int) -> None:
    for n in range(count):
        await append(journal, str(n))


def test_a_bad_urls_complaint_holds_no_part_of_its_password():
    with pytest.raises(SettingsError, match="percent-encoded") as refused:
        Primary("redis://:secret/word@localhost:6379", "x")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("denied", ["-evalsha -eval", "-xadd"])
async def test_a_command_that_redis_refuses_is_away_and_comes_back(server, denied):
    """As an access control list that was changed does: 503, and no 500."""
    async with RedisJournal(server.url) as journal:
        await append(journal, "1")
        server.command(f"ACL SETUSER default {denied}")
        with pytest.raises(Unavailable):
            await append(journal, "refused", key="k")
        server.command("ACL SETUSER default +@all")
        await append_until_taken(journal, "2")


async def test_a_full_redis_says_so_until_it_has_room(tmp_path):
    limit = ("--maxmemory", "8mb", "--maxmemory-policy", "noeviction")
    with RedisServer(tmp_path, *limit) as server:
        async with RedisJournal(server.url) as journal, following(journal):
            await eventually(lambda: journal.fault is None)
            server.command(f"SETRANGE filler {8 * 1024 * 1024} x")
            await eventually(lambda: "full" in (journal.fault or ""))
            server.command("DEL filler")
            await eventually(lambda: journal.fault is None)


async def test_a_read_whose_connection_was_lost_is_done_again_at_once(server):
    """Its client notices nothing; an append is not repeated blindly, and a second loss is told."""
    async with FaultProxy(server.port) as proxy:
        async with RedisJournal(f"redis://127.0.0.1:{proxy.port}") as journal:
            await append(journal, "1")
            await journal.read(None, 10)
            for _ in range(3):
                proxy.cut()
                [entry] = (await journal.read(None, 10)).entries
                assert text(entry) == "1"
                proxy.cut()
                assert await journal.locate("none") is None
            proxy.cut()
            with pytest.raises(Unavailable):
                await journal.link.call("PING")
            await journal.read(None, 10)
            server.stop(signal.SIGKILL)
            with pytest.raises(Unavailable):
                await journal.read(None, 10)
