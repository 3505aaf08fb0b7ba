"""The demo: the lesson's events, until the process drains."""

import asyncio

from events.ticker import TOPIC, tick
from streaming.drain import Drain
from streaming.journal import MemoryJournal


async def test_it_counts_until_the_process_drains() -> None:
    journal, drain = MemoryJournal(), Drain()
    ticking = asyncio.create_task(tick(journal, drain, 0.001))
    async with asyncio.timeout(10):
        while (await journal.read(None, 0)).head.sequence < 3:
            await asyncio.sleep(0.001)
        drain.draining = True
        await ticking
    first = (await journal.read(None, 1)).entries[0]
    assert first.topic == TOPIC
    assert b'data: {"count": 1, "message": "Event 1"}\n' in first.frame
