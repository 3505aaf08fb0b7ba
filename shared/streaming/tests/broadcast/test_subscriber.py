"""Property: in every interleaving, a subscriber sees its entries in order, none lost, none
twice, or is told.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eddyline.broadcast.broadcast import Broadcast, Topics
from eddyline.broadcast.formats import SSE
from eddyline.broadcast.subscriber import Subscriber
from eddyline.connection.base import BARE, HIGH_WATER, LOW_WATER, Listener
from eddyline.journal.base import Entry, NewEntry
from eddyline.journal.cursor import EARLIEST, Cursor
from eddyline.journal.memory import MemoryJournal
from eddyline.service.admission import Limits
from eddyline.service.drain import Drain
from eddyline.service.settings import Settings
from eddyline.telemetry.metrics import StreamMetrics
from eddyline.wire.sse import Parser

TOPICS = "abc"


class Pipe:
    """A connection in memory, whose peer takes as many bytes as the test says; full as a socket
    would be.
    """

    framing = BARE

    def __init__(self) -> None:
        self.listener: Listener | None = None
        self.full = False
        self.closed = False
        self._data = bytearray()

    @property
    def buffered(self) -> int:
        return len(self._data)

    def write(self, data: bytes) -> None:
        assert not self.closed, "written after the end"
        self._data += data
        # The most that a stalled reader can cost: the mark, and the size of one write.
        assert len(self._data) < HIGH_WATER + 64 * 1024
        if len(self._data) > HIGH_WATER and not self.full:
            self.full = True
            assert self.listener is not None
            self.listener.on_full()

    write_framed = write

    def take(self, count: int) -> bytes:
        data = bytes(self._data[:count])
        del self._data[:count]
        if self.full and len(self._data) < LOW_WATER:
            self.full = False
            if self.listener is not None:
                self.listener.on_writable()
        return data

    def close(self) -> None:
        self.closed = True

    abort = close


@dataclass
class Reader:
    """A client: its selection, and the place up to which it was told everything."""

    topics: frozenset[str]
    place: int
    pipe: Pipe = field(default_factory=Pipe)
    parser: Parser = field(default_factory=Parser)

    def read(self, count: int, published: list[Entry]) -> None:
        for event in self.parser.feed(self.pipe.take(count)):
            sequence = int(event.id.split(".")[1])
            if event.event == "eddyline.reset":
                reset = orjson.loads(event.data)
                assert reset["reason"] == "trimmed"
                # Only where something really is gone.
                assert int(reset["oldest"].split(".")[1]) > self.place
            else:
                assert self.missed(published, sequence) == [sequence]
            self.place = sequence
        if self.parser.last_event_id:
            # A heartbeat may move the cursor, but never over an entry.
            sequence = int(self.parser.last_event_id.split(".")[1])
            assert self.missed(published, sequence) == []
            self.place = max(self.place, sequence)

    def missed(self, published: list[Entry], until: int) -> list[int]:
        return [
            entry.cursor.sequence
            for entry in published[self.place : until]
            if entry.topic in self.topics
        ]


class World:
    def __init__(self, journal_bytes: int) -> None:
        config: Any = Settings(flush_interval=60.0)  # joined entries wait for the step `flush`
        drain = Drain()
        self.limits = Limits(drain)
        self.journal = MemoryJournal(max_bytes=journal_bytes)
        self.broadcast = Broadcast(
            self.journal, StreamMetrics("property", "broadcast"), config.policy, drain
        )
        self.readers: list[Reader] = []
        self.published: list[Entry] = []

    async def publish(self, topic: str, size: int, count: int) -> None:
        for _ in range(count):
            self.published.append(self.journal.append_now(NewEntry(topic, "x" * size)))

    async def subscribe(self, topics: frozenset[str], back: int) -> None:
        """From now on, or from `back` entries ago."""
        head = self.broadcast.head.sequence  # behind the published events, where the bus has a hole
        place = max(0, head - back)
        after = f"{self.broadcast.head.epoch}.{place}" if back else None
        reader = Reader(topics, place, parser=Parser(after or ""))
        self.readers.append(reader)
        self.open(reader, after)

    def open(self, reader: Reader, after: str | None) -> None:
        audience = self.broadcast._audience(Topics(reader.topics), SSE)
        permit = self.limits.admit(None, None)
        self.broadcast.meter.begin()
        subscriber = Subscriber(self.broadcast, audience, reader.pipe, permit, None)
        self.broadcast.subscribers.add(subscriber)
        subscriber.start(after if after in (None, EARLIEST) else Cursor.parse(after), b"")

    async def read(self, which: int, count: int) -> None:
        if self.readers:
            self.readers[which % len(self.readers)].read(count, self.published)

    async def drop(self, which: int, unread: int) -> None:
        """The client goes, with bytes on the way that it never sees, and comes back with its
        last id.
        """
        if not self.readers:
            return
        reader = self.readers[which % len(self.readers)]
        if not reader.parser.last_event_id:
            reader.read(100, self.published)
        reader.read(unread, self.published)
        if reader.pipe.listener is not None:
            reader.pipe.listener.on_close()
        last = reader.parser.last_event_id
        reader.pipe, reader.parser = Pipe(), Parser(last)
        self.open(reader, last)

    async def heartbeat(self) -> None:
        for subscriber in list(self.broadcast.subscribers):
            with patch("time.monotonic", return_value=subscriber._began + 30):
                subscriber.on_time(subscriber._began + 30)

    async def hole(self) -> None:
        """The bus drops all events for a moment."""
        follower = self.journal._followers.pop()
        await self.publish("a", 10, 2)
        self.journal._followers.append(follower)

    async def flush(self) -> None:
        for audience in self.broadcast._audiences.values():
            audience.flush()

    async def turn(self) -> None:
        for _ in range(3):
            await asyncio.sleep(0)

    async def settle(self) -> None:
        """All read all: then nobody may have missed anything."""
        await self.publish("a", 1, 1)  # a bus that had a hole says so with the next entry
        for _ in range(10_000):
            await asyncio.sleep(0)
            for reader in self.readers:
                reader.read(100_000, self.published)
            if all(s._state == "live" for s in self.broadcast.subscribers):
                await self.flush()
                break
        for reader in self.readers:
            reader.read(10_000_000, self.published)
            assert reader.missed(self.published, len(self.published)) == []


def steps() -> st.SearchStrategy[Any]:
    reader = st.integers(0, 3)
    topic = st.sampled_from(TOPICS)
    topics = st.frozensets(topic, min_size=1)
    size = st.sampled_from([1, 300, 5000, 20_000])
    amount = st.sampled_from([1, 50, 700, 10_000, 200_000])
    return st.one_of(
        st.tuples(st.just("publish"), topic, size, st.sampled_from([1, 3, 40])),
        st.tuples(st.just("subscribe"), topics, st.sampled_from([0, 0, 1, 5, 200])),
        st.tuples(st.just("read"), reader, amount),
        st.tuples(st.just("drop"), reader, amount),
        st.tuples(st.just("heartbeat")),
        st.tuples(st.just("hole")),
        st.tuples(st.just("flush")),
        st.tuples(st.just("turn")),
    )


@settings(max_examples=300, deadline=None)
@given(
    st.lists(steps(), max_size=40),
    st.sampled_from([20_000, 150_000, 10_000_000]),
    st.sampled_from([5_000, 60_000, 8_000_000]),
)
def test_every_subscriber_sees_its_entries_in_order_once_or_is_told(script, journal, recent):
    async def play() -> None:
        world = World(journal)
        with patch("eddyline.broadcast.broadcast.RECENT_BYTES", recent):
            async with world.broadcast.run():
                for name, *arguments in script:
                    await getattr(world, name)(*arguments)
                await world.settle()
        assert world.limits.open == 0
        assert not world.broadcast.subscribers

    asyncio.run(play())


async def test_a_page_stops_at_the_high_water_mark() -> None:
    """A client that resumes far behind costs no more than one that stalls (`Pipe` holds it)."""
    world = World(journal_bytes=100_000_000)
    async with world.broadcast.run():
        await world.publish("a", 5000, 250)
        await world.subscribe(frozenset("a"), 250)
        await world.settle()


@pytest.mark.parametrize("turns", range(6))
async def test_an_entry_that_comes_while_a_page_is_read_does_not_wait_for_the_next_one(
    turns: int,
) -> None:
    world, reader = World(journal_bytes=1_000_000), Reader(frozenset("a"), 0)
    async with world.broadcast.run():
        world.open(reader, EARLIEST)
        for _ in range(turns):
            await asyncio.sleep(0)
        await world.publish("a", 10, 1)
        for _ in range(20):
            await asyncio.sleep(0)
        await world.flush()
        reader.read(100_000, world.published)
        assert reader.place == 1
