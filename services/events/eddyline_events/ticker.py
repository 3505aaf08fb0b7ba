"""The lesson's demo: an event each second, `{"count": n, "message": "Event n"}`."""

import asyncio
import json
from contextlib import suppress

from eddyline.errors import Unavailable
from eddyline.journal.base import KEY_AGE, Journal, NewEntry
from eddyline.journal.state import State
from eddyline.service.drain import Drain

TOPIC = "demo"

#: Where the processes of the hub find the count of the newest event.
COUNT = "demo:count"

#: Ticks for which a process stands by, where another one publishes.
STANDBY = 3


async def tick(journal: Journal, state: State, drain: Drain, seconds: float = 1.0) -> None:
    """Publishes until the process drains, or it is cancelled.

    Of a hub's processes one does: the others stand by, and take over where nothing came meanwhile.
    Two that do so at once are harmless: the idempotency key lets each count through once.
    """
    count = 0
    while not drain.draining:
        pause = seconds
        with suppress(Unavailable):  # Redis is away: the same count again, then
            newest = int(await state.pop(COUNT, leave=True) or 0)
            if newest > count:
                count, pause = newest, STANDBY * seconds
            else:
                await journal.append([_event(count + 1)])
                count += 1
                await state.put_once(COUNT, b"%d" % count, KEY_AGE)
        await asyncio.sleep(pause)


def _event(count: int) -> NewEntry:
    data = json.dumps({"count": count, "message": f"Event {count}"})
    return NewEntry(TOPIC, data, json=True, key=f"demo:{count}")
