"""Broadcast on real sockets: every promise to a subscriber, on the detached connection and on
the ASGI one.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI, Request
from prometheus_client import REGISTRY

from eddyline.broadcast.broadcast import Broadcast, Topics
from eddyline.broadcast.formats import LINES, POLL, SSE
from eddyline.broadcast.subscriber import Member, Subscriber
from eddyline.errors import Unavailable
from eddyline.journal.base import Entry, Follower, Interest, NewEntry, Page, Receipt
from eddyline.journal.cursor import Cursor
from eddyline.journal.memory import MemoryJournal
from eddyline.service.admission import Limits
from eddyline.service.drain import Drain
from eddyline.service.settings import Settings
from eddyline.telemetry.metrics import StreamMetrics
from eddyline.testing import FaultProxy, Running, eventually, fetch, running
from eddyline.wire.sse import comment

FORMATS = {"sse": SSE, "lines": LINES, "poll": POLL}


class Hub:
    """A server with `GET /?topic=&after=&expires=` on a memory journal."""

    def __init__(self, journal: MemoryJournal | None = None, **settings: Any) -> None:
        self.journal = journal or MemoryJournal()
        self.settings = Settings(**settings)
        self.drain = Drain(0.0, self.settings.drain_window)
        self.limits = Limits(self.drain)
        self.broadcast = Broadcast(
            self.journal, StreamMetrics("test", "broadcast"), self.settings.policy, self.drain
        )
        #: Makes the observer of each subscriber.
        self.members: Callable[[], Member | None] = lambda: None
        self.app = FastAPI(lifespan=lambda _: self.broadcast.run())
        self.app.state.context = SimpleNamespace(settings=self.settings, drain=self.drain)
        self.running: Running

        @self.app.get("/")
        async def subscribe(  # type: ignore[no-untyped-def]
            request: Request,
            topic: str = "t",
            expires: float | None = None,
            format: str = "sse",
            seconds: float | None = None,
        ):
            topics = Topics(frozenset(topic.split(",")))
            id = request.headers.get("last-event-id") or request.query_params.get("after")
            return self.broadcast.response(
                self.limits.admit(None, None),
                topics,
                after=await self.broadcast.locate(id, topics),
                expires=expires,
                first=comment("hello") if format == "sse" else b"",
                format=FORMATS[format],
                member=self.members(),
                seconds=seconds,
            )

    @property
    def url(self) -> str:
        return self.running.url

    async def publish(self, count: int = 1, topic: str = "t", size: int = 0) -> list[str]:
        """Their ids."""
        texts = (f"{n}:{'x' * size}" for n in range(count))
        batch = [NewEntry(topic, text) for text in texts]
        return [receipt.id for receipt in await self.journal.append(batch)]

    def count(self, name: str, **labels: str) -> float:
        labels = {"service": "test", "kind": "broadcast"} | labels
        return REGISTRY.get_sample_value(f"eddyline_{name}", labels) or 0.0


@pytest.fixture(params=["detached", "asgi"])
def hub_of(request):
    @asynccontextmanager
    async def start(journal: MemoryJournal | None = None, **settings: Any) -> AsyncIterator[Hub]:
        hub = Hub(journal, **settings)
        options = {} if request.param == "detached" else {"http": "httptools"}
        async with running(hub.app, **options) as hub.running:
            yield hub
        assert hub.limits.open == 0

    return start


async def subscribers(hub: Hub, count: int) -> None:
    await eventually(lambda: len(hub.broadcast.subscribers) == count)


async def test_live_events_arrive_in_order_across_topics(hub_of):
    async with hub_of() as hub:
        stream = await fetch(hub.url + "/?topic=a,b")
        await subscribers(hub, 1)
        ids = []
        for n in range(50):
            ids += await hub.publish(topic="abc"[n % 3])
        wanted = [id for n, id in enumerate(ids) if n % 3 != 2]
        assert [e.id for e in await stream.events(len(wanted))] == wanted


async def test_the_first_bytes_come_at_once_and_carry_a_cursor(hub_of):
    async with hub_of() as hub:
        (id,) = await hub.publish()
        stream = await fetch(hub.url)
        head = await stream.read()
        assert f"id: {id}\n".encode() in head
        assert b": hello\n" in head + (b"" if b"hello" in head else await stream.read())


async def test_a_client_that_drops_before_any_event_loses_none(hub_of):
    async with hub_of() as hub:
        await hub.publish(3)
        stream = await fetch(hub.url)
        list(stream.parser.feed(await stream.read()))
        stream.reset()
        ids = await hub.publish(3)
        stream = await fetch(hub.url, headers={"Last-Event-ID": stream.parser.last_event_id})
        assert [e.id for e in await stream.events(3)] == ids


async def test_resumes_are_counted_by_their_result(hub_of):
    async with hub_of() as hub:
        results = ("complete", "unknown", "epoch")
        before = [hub.count("resumes_total", result=result) for result in results]
        replays = hub.count("replay_seconds_count")
        [id] = await hub.publish(1)
        queries = [f"?after={after}" for after in (id, "nobodys", "other.1", "earliest")]
        streams = [await fetch(f"{hub.url}/{query}") for query in (*queries, "")]
        await subscribers(hub, len(streams))
        await eventually(lambda: hub.count("replay_seconds_count") == replays + 4)
        counted = [hub.count("resumes_total", result=result) for result in results]
        assert [n - m for n, m in zip(counted, before, strict=True)] == [2, 1, 1]


async def test_the_lag_of_each_flush_and_the_audiences_are_measured(hub_of):
    async with hub_of() as hub:
        flushes, audiences = hub.count("delivery_lag_seconds_count"), hub.count("audiences")
        streams = [await fetch(f"{hub.url}/?topic={topic}") for topic in "aab"]
        await subscribers(hub, 3)
        assert hub.count("audiences") == audiences + 2
        assert hub.count("topics") == 2
        await hub.publish(1, topic="a")
        assert await streams[0].event()
        assert hub.count("delivery_lag_seconds_count") == flushes + 1
        for stream in streams:
            await stream.close()
        await eventually(lambda: hub.count("audiences") == audiences)
        assert hub.count("topics") == 0


async def test_a_resume_goes_on_exactly_there_and_then_live(hub_of):
    async with hub_of() as hub:
        ids = await hub.publish(2000)
        stream = await fetch(hub.url, headers={"Last-Event-ID": ids[99]})
        await subscribers(hub, 1)
        ids += await hub.publish(10)
        assert [e.id for e in await stream.events(1910)] == ids[100:]


@pytest.mark.parametrize("after", ["earliest", "own-id"])
async def test_a_resume_by_other_means(hub_of, after):
    async with hub_of() as hub:
        [first] = await hub.journal.append([NewEntry("t", "first", id="own-id")])
        ids = await hub.publish(3)
        stream = await fetch(f"{hub.url}/?after={after}")
        wanted = ids if after == "own-id" else [first.id, *ids]
        assert [e.id for e in await stream.events(len(wanted))] == wanted


@pytest.mark.parametrize("seed", range(5))
async def test_a_client_that_drops_at_any_byte_gets_everything_once(hub_of, seed):
    async with hub_of() as hub, FaultProxy(hub.running.port) as proxy:
        ids = await hub.publish(300, size=50)
        got: list[str] = []
        headers = {"Last-Event-ID": str(Cursor(ids[0].split(".")[0], 0))}
        proxy.cut_after = 1500 + 377 * seed
        while len(got) < len(ids):
            before = len(got)
            stream = await fetch(proxy.url, headers=headers)
            while (event := await stream.event()) is not None:
                got.append(event.id)
                headers = {"Last-Event-ID": event.id}
                if len(got) == len(ids):
                    break
            assert len(got) > before
        assert got == ids


@pytest.mark.parametrize(
    ("cursor", "reason"),
    [
        ("other.1", "epoch"),
        ("{epoch}.999", "future"),
        ("{epoch}.0", "trimmed"),
        ("what", "unknown"),
    ],
)
async def test_what_is_gone_is_said_in_band_and_then_comes_the_live_feed(hub_of, cursor, reason):
    async with hub_of(MemoryJournal(max_bytes=3000)) as hub:
        hub.broadcast.recent._max_bytes = 3000
        ids = await hub.publish(50)
        epoch = ids[0].split(".")[0]
        before = hub.count("resets_total", reason=reason)
        stream = await fetch(hub.url, headers={"Last-Event-ID": cursor.format(epoch=epoch)})
        reset = await stream.event()
        assert reset is not None
        assert reset.event == "eddyline.reset"
        assert f'"reason":"{reason}"' in reset.data
        oldest = (await hub.journal.read(None, 1)).oldest
        assert f'"oldest":"{oldest}"' in reset.data
        assert reset.id == ids[-1]
        (live,) = await hub.publish()
        assert [e.id for e in await stream.events(1)] == [live]
        assert hub.count("resets_total", reason=reason) == before + 1


async def test_a_slow_reader_falls_behind_catches_up_and_holds_no_one_back(hub_of):
    async with hub_of() as hub:
        slow = await fetch(hub.url, receive_buffer=4096)
        fast = await fetch(hub.url)
        await subscribers(hub, 2)
        before = hub.count("slow_consumers_total")
        reading = asyncio.create_task(fast.events(2000))
        ids = []
        for _ in range(20):
            ids += await hub.publish(100, size=1000)
            await asyncio.sleep(0)
        assert [e.id for e in await reading] == ids
        assert hub.count("slow_consumers_total") > before
        # Two MB have passed it; it holds the high-water mark and a flush or so.
        held = [s.connection.buffered for s in hub.broadcast.subscribers]
        assert max(held) < 128 * 1024
        assert [e.id for e in await slow.events(2000)] == ids
        live = await hub.publish(5)
        assert [e.id for e in await slow.events(5)] == live


async def test_a_slow_reader_whose_place_is_trimmed_is_told(hub_of):
    async with hub_of(MemoryJournal(max_bytes=300_000)) as hub:
        slow = await fetch(hub.url, receive_buffer=4096)
        await subscribers(hub, 1)
        hub.broadcast.recent._max_bytes = 100_000
        for _ in range(20):
            await hub.publish(100, size=1000)
            await asyncio.sleep(0)
        place, resets = 0, 0
        while place < 2000:
            event = await slow.event()
            assert event is not None
            sequence = int(event.id.split(".")[1])
            if event.event == "eddyline.reset":
                assert '"trimmed"' in event.data
                resets += 1
            else:
                assert sequence == place + 1
            place = sequence
        assert resets >= 1


async def test_a_reader_that_takes_nothing_is_ended(hub_of):
    async with hub_of(write_timeout=1.0, heartbeat=5.0) as hub:
        stalled = await fetch(hub.url, receive_buffer=4096)
        fast = await fetch(hub.url)
        await subscribers(hub, 2)
        before = hub.count("streams_ended_total", reason="stalled")
        ids = []
        # As much as it takes: without our options the kernel alone holds megabytes for it.
        while len(hub.broadcast.subscribers) == 2:
            ids += await hub.publish(100, size=1000)
            assert [e.id for e in await fast.events(100)] == ids[-100:]
        assert hub.count("streams_ended_total", reason="stalled") == before + 1
        while await stalled.read():
            pass
        assert stalled.clean is False


async def test_a_hole_in_the_bus_is_filled_from_the_journal(hub_of):
    async with hub_of() as hub:
        stream = await fetch(hub.url)
        await subscribers(hub, 1)
        ids = await hub.publish(2)
        follower = hub.journal._followers.pop()
        ids += await hub.publish(3)  # the bus is silent
        hub.journal._followers.append(follower)
        ids += await hub.publish(2)
        assert [e.id for e in await stream.events(7)] == ids


async def test_under_load_events_are_joined(hub_of):
    async with hub_of(flush_interval=0.05) as hub:
        stream = await fetch(hub.url)
        await subscribers(hub, 1)
        await stream.read()
        await hub.publish(1)
        assert b"data: 0:" in await stream.read()
        await hub.publish(40)
        joined = await stream.read()
        assert joined.count(b"data: ") == 40


async def test_a_silent_stream_gets_heartbeats_that_carry_the_cursor(hub_of):
    async with hub_of(heartbeat=0.5) as hub:
        stream = await fetch(hub.url)
        await subscribers(hub, 1)
        await hub.publish(5, topic="another")
        async with asyncio.timeout(20):
            while not stream.parser.last_event_id.endswith(".5"):
                assert list(stream.parser.feed(await stream.read())) == []


async def test_a_stream_ends_at_its_age_with_a_retry(hub_of):
    async with hub_of(max_age=1.0) as hub:
        stream = await fetch(hub.url)
        assert await stream.events() == []
        assert stream.clean
        assert stream.parser.retry is not None
        assert 500 <= stream.parser.retry <= 3000


async def test_a_stream_ends_when_its_token_does(hub_of):
    async with hub_of() as hub:
        before = hub.count("streams_ended_total", reason="expired")
        stream = await fetch(f"{hub.url}/?expires={time.time() + 1}")
        await hub.publish(1)
        assert len(await stream.events()) == 1
        assert stream.clean
        assert hub.count("streams_ended_total", reason="expired") == before + 1


async def test_a_drain_ends_all_streams_inside_its_window(hub_of):
    async with hub_of(drain_window=0.3) as hub:
        streams = [await fetch(hub.url) for _ in range(20)]
        await subscribers(hub, 20)
        ids = await hub.publish(5)
        await hub.running.stop()
        for stream in streams:
            assert [e.id for e in await stream.events()] == ids
            assert stream.clean
            assert stream.parser.retry is not None


async def test_gauges_return_after_a_storm_of_resets(hub_of):
    async with hub_of() as hub:
        before = hub.count("streams_open")
        streams = [await fetch(f"{hub.url}/?topic={n % 7}") for n in range(200)]
        await subscribers(hub, 200)
        assert hub.count("streams_open") == before + 200
        for stream in streams:
            stream.reset()
        await subscribers(hub, 0)
        assert hub.count("streams_open") == before
        assert hub.limits.open == 0
        assert not hub.broadcast._audiences
        assert not hub.broadcast._index.topics


async def test_a_drain_lets_who_is_behind_catch_up_first(hub_of):
    async with hub_of(drain_window=5.0) as hub:
        slow = await fetch(hub.url, receive_buffer=4096, limit=4096)
        await subscribers(hub, 1)
        before = hub.count("slow_consumers_total")
        ids = []
        while hub.count("slow_consumers_total") == before:
            ids += await hub.publish(100, size=1000)
            await asyncio.sleep(0)
        ids += await hub.publish(100, size=1000)
        stopping = asyncio.create_task(hub.running.stop())
        assert [e.id for e in await slow.events()] == ids
        assert slow.clean
        await stopping


async def test_a_drain_does_not_wait_for_who_takes_nothing(hub_of):
    async with hub_of(drain_window=0.5) as hub:
        stalled = await fetch(hub.url, receive_buffer=4096)
        await subscribers(hub, 1)
        before = hub.count("slow_consumers_total")
        while hub.count("slow_consumers_total") == before:
            await hub.publish(100, size=1000)
            await asyncio.sleep(0)
        await subscribers(hub, 1)
        hub.running.server.should_exit = True
        await subscribers(hub, 0)  # long before its write timeout
        stalled.reset()


async def test_a_poll_is_answered_with_what_is_there(hub_of):
    async with hub_of() as hub:
        ids = await hub.publish(3)
        answer = await (await fetch(f"{hub.url}/?format=poll&after={ids[0]}")).json()
        assert [event["id"] for event in answer["events"]] == ids[1:]
        assert answer["cursor"] == ids[-1]


async def test_a_poll_waits_for_the_next_events_and_goes_on_from_them(hub_of):
    async with hub_of() as hub:
        [first] = await hub.publish()
        polls = [await fetch(f"{hub.url}/?format=poll&after={first}") for _ in range(3)]
        await subscribers(hub, 3)
        ids = await hub.publish(1)
        for poll in polls:
            answer = await poll.json()
            assert poll.clean
            assert ([e["id"] for e in answer["events"]], answer["cursor"]) == (ids, ids[0])
        await subscribers(hub, 0)
        again = await fetch(f"{hub.url}/?format=poll&after={answer['cursor']}")
        assert (await hub.publish(1))[0] == (await again.json())["events"][0]["id"]


async def test_a_poll_ends_empty_after_its_time_with_a_cursor(hub_of):
    async with hub_of() as hub:
        poll = await fetch(f"{hub.url}/?format=poll&seconds=0.1")
        await subscribers(hub, 1)
        [id] = await hub.publish(1, topic="another")
        assert await poll.json() == {"events": [], "cursor": id}
        assert poll.clean


async def test_a_poll_is_told_what_is_gone(hub_of):
    async with hub_of() as hub:
        answer = await (await fetch(f"{hub.url}/?format=poll&after=nobodys")).json()
        assert (answer["reset"]["reason"], answer["events"]) == ("unknown", [])


async def test_lines_are_the_same_events(hub_of):
    async with hub_of() as hub:
        ids = await hub.publish(2)
        stream = await fetch(f"{hub.url}/?format=lines&after=earliest")
        await subscribers(hub, 1)
        ids += await hub.publish(2)
        values = stream.values()
        assert [(await anext(values))["id"] for _ in ids] == ids


async def test_formats_of_one_selector_are_apart(hub_of):
    async with hub_of() as hub:
        events, lines = await fetch(hub.url), await fetch(f"{hub.url}/?format=lines")
        await subscribers(hub, 2)
        [id] = await hub.publish(1)
        assert (await events.event()).id == id
        values = lines.values()
        assert "cursor" in await anext(values)
        assert (await anext(values))["id"] == id


async def test_an_ephemeral_event_reaches_the_subscribers_of_the_moment_and_moves_no_cursor(hub_of):
    async with hub_of() as hub:
        stream = await fetch(hub.url)
        await subscribers(hub, 1)
        [id] = await hub.publish(1)
        hub.broadcast.deliver_ephemeral("t", "now")
        hub.broadcast.deliver_ephemeral("another", "not here")
        [first, ephemeral] = await stream.events(2)
        assert (first.id, ephemeral.data, ephemeral.id) == (id, "now", id)
        [following] = await hub.publish(1)
        assert (await stream.event()).id == following


async def test_a_member_is_told_and_can_be_ended(hub_of):
    class Seat:
        def joined(self, subscriber: Subscriber) -> None:
            told.append("joined")
            self.subscriber = subscriber

        def left(self) -> None:
            told.append("left")

    told: list[str] = []
    seat = Seat()
    async with hub_of() as hub:
        hub.members = lambda: seat
        before = hub.count("streams_ended_total", reason="kicked")
        stream = await fetch(hub.url)
        await subscribers(hub, 1)
        seat.subscriber.end("kicked")
        seat.subscriber.end("kicked")
        assert await stream.events() == []
        assert stream.clean
        assert told == ["joined", "left"]
        assert hub.count("streams_ended_total", reason="kicked") == before + 1


class Late(MemoryJournal):
    """A journal whose bus is late, and which may be away: as one that is elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.reads = 0
        self._held: list[Entry] = []
        self._bus: list[Follower] = []

    @asynccontextmanager
    async def follow(self, follower: Follower) -> AsyncIterator[None]:
        self._bus.append(follower)
        follower.skip((await super().read(None, 0)).head)
        yield

    async def append(self, batch: Any) -> list[Receipt]:
        receipts = await super().append(batch)
        cursor = receipts[0].cursor
        page = await super().read(Cursor(cursor.epoch, cursor.sequence - 1), len(batch))
        self._held += page.entries
        return receipts

    async def read(self, after: Cursor | None, limit: int, *rest: Interest) -> Page:
        self.reads += 1
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable("away")
        return await super().read(after, limit, *rest)

    def arrive(self) -> None:
        for entry in self._held:
            self._bus[0].deliver(entry)
        self._held.clear()


async def test_who_is_ahead_of_the_bus_waits_for_it(hub_of):
    """A client that comes from another process, which the bus has brought more."""
    journal = Late()
    async with hub_of(journal) as hub:
        ids = await hub.publish(3)
        stream = await fetch(f"{hub.url}/?after={ids[1]}")
        await eventually(lambda: hub.broadcast._waiting)
        reads = journal.reads
        # It does not ask again and again: not in all the turns that another client takes.
        async with await fetch(hub.url) as other:
            assert await other.read()
        assert journal.reads == reads
        journal.arrive()
        assert (await stream.event()).id == ids[2]
        ids = await hub.publish(1)
        journal.arrive()
        assert (await stream.event()).id == ids[0]


async def test_streams_stay_open_while_the_journal_is_away(hub_of):
    journal = Late()
    async with hub_of(journal) as hub:
        ids = await hub.publish(3)
        journal.arrive()
        hub.broadcast.skip(hub.broadcast.head)  # nothing is at hand: it must be read
        journal.away = True
        stream = await fetch(f"{hub.url}/?after=earliest")
        await eventually(lambda: journal.reads > 0)
        journal.away = False
        assert [e.id for e in await stream.events(3)] == ids


async def test_those_who_want_the_same_page_share_it(hub_of):
    journal = Late()
    async with hub_of(journal) as hub:
        streams = [await fetch(hub.url) for _ in range(50)]
        await subscribers(hub, 50)
        reads = journal.reads
        ids = await hub.publish(3)
        hub.broadcast.skip(Cursor(hub.broadcast.head.epoch, 3))  # a hole for all of them
        for stream in streams:
            assert [e.id for e in await stream.events(3)] == ids
        assert journal.reads <= reads + 5


async def test_without_a_journal_yet_nobody_is_given_a_place(hub_of):
    async with hub_of() as hub:
        hub.broadcast.synced = False
        with pytest.raises(Unavailable, match="not reached yet"):
            await hub.broadcast.locate(None, Topics(frozenset("t")))


class Granted(Topics):
    """The selector of a client that may read private entries."""

    def matches(self, entry: Entry) -> bool:
        return not self.topics.isdisjoint(entry.topics)


async def test_the_id_of_a_private_event_is_to_strangers_one_that_nobody_gave(hub_of):
    async with hub_of() as hub:
        batch = [NewEntry("t", "x", id="private", private=True), NewEntry("t", "y", id="public")]
        private, public = [receipt.cursor for receipt in await hub.journal.append(batch)]
        stranger, granted = Topics(frozenset("t")), Granted(frozenset("t"))
        for id in ("private", "of-nobody"):
            assert await hub.broadcast.locate(id, stranger) == "unknown"
        assert await hub.broadcast.locate("private", granted) == private
        assert await hub.broadcast.locate("public", stranger) == public
