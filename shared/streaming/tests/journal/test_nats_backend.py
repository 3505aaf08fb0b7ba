"""A backend of another make, as somebody would add it: NATS JetStream, with a server in memory.

It is one new file and one line of registration. Its tests are the contracts, and a broadcast of two
processes.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from fastapi import FastAPI, Request
from starlette.responses import Response

from eddyline.broadcast.broadcast import Broadcast, Topics
from eddyline.journal.backends import BACKENDS, backend_from_url
from eddyline.journal.base import (
    EVERYTHING,
    Bounds,
    Entry,
    Follower,
    Gap,
    Interest,
    NewEntry,
    Page,
    Receipt,
)
from eddyline.journal.cursor import Cursor, check_own_id, new_epoch
from eddyline.journal.state import MemoryState
from eddyline.service.admission import Limits
from eddyline.service.drain import Drain
from eddyline.service.settings import Settings
from eddyline.tasks import background
from eddyline.telemetry.base import NoStreamMeter
from eddyline.testing import Running, fetch, running
from eddyline.testing.journal_contract import *  # noqa: F403
from eddyline.testing.state_contract import *  # noqa: F403

BACKENDS["nats"] = f"{__name__}:NatsBackend.from_url"


@dataclass
class JetStream:
    """A stream as the server has it: messages, ids that it takes once, and its consumers."""

    name: str = field(default_factory=new_epoch)
    messages: list[tuple[float, bytes]] = field(default_factory=list)
    ids: dict[str, int] = field(default_factory=dict)
    consumers: set["asyncio.Queue[int | bytes]"] = field(default_factory=set)

    async def publish(self, message: bytes, id: str | None) -> tuple[int, bool]:
        """The message's sequence, and whether the id (`Nats-Msg-Id`) was there before."""
        await asyncio.sleep(0)
        sequence = len(self.messages) + 1
        if id is not None and (known := self.ids.setdefault(id, sequence)) != sequence:
            return known, True
        self.messages.append((time.time(), message))
        self.send(sequence)
        return sequence, False

    def send(self, what: int | bytes) -> None:
        """A message's sequence, or a message beside the stream, to all consumers."""
        for consumer in self.consumers:
            consumer.put_nowait(what)


#: The streams of the server, by URL and hub.
SERVER: defaultdict[tuple[str, str], JetStream] = defaultdict(JetStream)


class NatsJournal:
    def __init__(self, stream: JetStream) -> None:
        self._stream = stream

    async def append(self, batch: Sequence[NewEntry]) -> list[Receipt]:
        return [await self._append(new) for new in batch]

    async def _append(self, new: NewEntry) -> Receipt:
        if new.id is not None:
            check_own_id(new.id)
            if (owner := await self.locate(new.id)) is not None:
                same = self._new(owner.cursor.sequence).digest() == new.digest()
                return Receipt(owner.cursor, new.id, "repeated" if same else "taken")
        sequence, known = await self._stream.publish(orjson.dumps(asdict(new)), new.key)
        cursor = Cursor(self._stream.name, sequence)
        if not known:
            return Receipt(cursor, new.id or str(cursor))
        first = self._new(sequence)
        outcome = "repeated" if first.digest() == new.digest() else "conflict"
        return Receipt(cursor, first.id or str(cursor), outcome)

    async def read(self, after: Cursor | None, limit: int, interest: Interest = EVERYTHING) -> Page:
        oldest, head = Cursor(self._stream.name, 0), self._head
        start = after or oldest
        if gap := self._gap(start, head):
            return Page([], oldest, head, gap)
        stop = min(start.sequence + limit, head.sequence)
        return Page([self._entry(n + 1) for n in range(start.sequence, stop)], oldest, head)

    async def locate(self, id: str) -> Entry | None:
        entries = (self._entry(n) for n in range(1, self._head.sequence + 1))
        return next((entry for entry in entries if entry.id == id), None)

    async def topics(self, limit: int, before: int | None = None) -> list[tuple[str, Cursor]]:
        newest = {
            topic: Cursor(self._stream.name, n)
            for n in range(1, self._head.sequence + 1)
            for topic in self._entry(n).topics
        }
        found = sorted(newest.items(), key=lambda item: -item[1].sequence)
        return [item for item in found if before is None or item[1].sequence < before][:limit]

    @asynccontextmanager
    async def follow(self, follower: Follower) -> AsyncIterator[None]:
        queue: asyncio.Queue[int | bytes] = asyncio.Queue()
        follower.skip(self._head)
        self._stream.consumers.add(queue)
        try:
            async with background(self._consume(queue, follower)):
                yield
        finally:
            self._stream.consumers.discard(queue)

    async def signal(self, message: bytes) -> None:
        self._stream.send(message)

    async def _consume(self, queue: "asyncio.Queue[int | bytes]", follower: Follower) -> None:
        while True:
            match await queue.get():
                case int(sequence):
                    follower.deliver(self._entry(sequence))
                case bytes(message):
                    follower.signal(message)

    @property
    def _head(self) -> Cursor:
        return Cursor(self._stream.name, len(self._stream.messages))

    def _gap(self, after: Cursor, head: Cursor) -> Gap | None:
        if after.epoch != head.epoch:
            return "epoch"
        return "future" if after.sequence > head.sequence else None

    def _new(self, sequence: int) -> NewEntry:
        fields = orjson.loads(self._stream.messages[sequence - 1][1])
        return NewEntry(**fields | {"alternates": tuple(fields["alternates"])})

    def _entry(self, sequence: int) -> Entry:
        at, _ = self._stream.messages[sequence - 1]
        return Entry.from_new(self._new(sequence), Cursor(self._stream.name, sequence), at)


class NatsBackend:
    """A state in a key-value bucket is left out: this one knows of its own process alone."""

    def __init__(self, stream: JetStream) -> None:
        self.journal = NatsJournal(stream)
        self.state = MemoryState()
        self.signals = self.journal

    @classmethod
    def from_url(cls, url: str, hub: str, bounds: Bounds, **_: Any) -> "NatsBackend":
        return cls(SERVER[url, hub])

    def fault(self) -> str | None:
        return None

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        yield


@pytest.fixture
def backend_url(request: pytest.FixtureRequest) -> str:
    return "nats://127.0.0.1"


@asynccontextmanager
async def process(hub: str) -> AsyncIterator[tuple[NatsJournal, Running]]:
    """A process of the hub: its journal, and a server that broadcasts the topic `t`."""
    backend = backend_from_url("nats://127.0.0.1", hub)
    settings, drain = Settings(), Drain()
    broadcast = Broadcast(backend.journal, NoStreamMeter(), settings.policy, drain)
    app = FastAPI(lifespan=lambda _: broadcast.run())
    app.state.context = SimpleNamespace(settings=settings, drain=drain)
    limits, topics = Limits(drain), Topics(frozenset("t"))

    @app.get("/")
    async def subscribe(request: Request) -> Response:
        after = await broadcast.locate(request.headers.get("last-event-id"), topics)
        return broadcast.response(limits.admit(None, None), topics, after=after)

    async with backend.run(), running(app) as server:
        yield backend.journal, server


async def test_a_broadcast_delivers_it_and_resumes_on_another_process() -> None:
    async with AsyncExitStack() as stack:
        journal, one = await stack.enter_async_context(process("orders"))
        _, two = await stack.enter_async_context(process("orders"))
        async with await fetch(one.url) as stream:
            await stream.read()
            await journal.append([NewEntry("t", "first")])
            event = await stream.event()
        await journal.append([NewEntry("other", "not this"), NewEntry("t", "missed")])
        async with await fetch(two.url, headers={"Last-Event-ID": event.id}) as stream:
            missed = await stream.event()
            await journal.append([NewEntry("t", "live")])
            assert [event.data, missed.data, (await stream.event()).data] == [
                "first",
                "missed",
                "live",
            ]
