"""The lesson's demo: an event each second, `{"count": n, "message": "Event n"}`."""

import asyncio
import json
from contextlib import suppress

from streaming.drain import Drain
from streaming.errors import Unavailable
from streaming.journal import Journal, NewEntry

TOPIC = "demo"


async def tick(journal: Journal, drain: Drain, seconds: float = 1.0) -> None:
    """Publishes until the process drains, or it is cancelled."""
    count = 0
    while not drain.draining:
        count += 1
        data = json.dumps({"count": count, "message": f"Event {count}"})
        with suppress(Unavailable):  # Redis is away: the next one, then
            await journal.append([NewEntry(TOPIC, data, json=True)])
        await asyncio.sleep(seconds)
