"""Pages of subscribers behind the head: a large entry is written alone, and so by reference."""

from typing import Any

from eddyline.broadcast.audience import Audience
from eddyline.broadcast.broadcast import Broadcast, Topics
from eddyline.broadcast.catch_up import CatchUp
from eddyline.broadcast.coalescing import FlushGovernor
from eddyline.broadcast.formats import SSE
from eddyline.connection.base import HIGH_WATER
from eddyline.journal.base import NewEntry
from eddyline.journal.cursor import Cursor
from eddyline.journal.memory import MemoryJournal
from eddyline.service.drain import Drain
from eddyline.service.settings import Settings
from eddyline.telemetry.metrics import StreamMetrics


class Reader:
    """A subscriber whose connection is never full."""

    full = False

    def __init__(self) -> None:
        self.connection: Any = self
        self.written: list[bytes] = []
        self.live = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def count(self, events: int, size: int) -> None: ...

    def go_live(self) -> None:
        self.live = True


async def test_a_large_entry_among_small_ones_is_one_object_for_all_readers() -> None:
    journal, meter = MemoryJournal(), StreamMetrics("test", "broadcast")
    broadcast = Broadcast(journal, meter, Settings().policy, Drain())
    async with broadcast.run():
        start = broadcast.head
        for data in ("a", "b", "x" * (2 * HIGH_WATER), "c"):
            journal.append_now(NewEntry("t", data))
        large = broadcast.recent.page(Cursor(start.epoch, 2), 1).entries[0].frame
        for _ in range(2):
            reader = Reader()
            audience = Audience(Topics(frozenset("t")), SSE, meter, FlushGovernor(0))
            catch_up = CatchUp(reader, broadcast, audience, start)  # type: ignore[arg-type]
            while not reader.live:
                catch_up.go_on()
                catch_up.stop()
            assert len(reader.written) == 3
            assert reader.written[1] is large
