"""How many events a principal may publish a second."""

import asyncio
from hashlib import blake2b

from eddyline.errors import Overloaded
from eddyline.journal.state import State

#: Seconds of events that may come at once.
BURST = 1.0


class Rate:
    """Token buckets by principal, over all processes and protocols of a hub; 0 is no limit.

    A batch is let in whole while its bucket holds anything, and paid for by waiting afterwards:
    so one that is larger than the bucket is not refused for ever.
    """

    def __init__(self, state: State, events_per_second: float) -> None:
        self._state = state
        self._rate = events_per_second

    async def take(self, identity: str | None, events: int) -> None:
        """Raises Overloaded where the bucket is empty, or Unavailable."""
        wait = await self._charge(identity, events)
        if wait > 0:
            raise Overloaded(
                f"the limit of {self._rate:g} events per second and principal"
                " (EVENTS_PUBLISH_RATE) is reached",
                wait,
            )

    async def wait(self, identity: str | None, events: int) -> None:
        """Takes events as soon as the bucket holds something."""
        while (seconds := await self._charge(identity, events)) > 0:
            await asyncio.sleep(seconds)

    async def _charge(self, identity: str | None, events: int) -> float:
        if not self._rate:
            return 0.0
        # A digest: the store learns no names.
        key = "rate:" + blake2b((identity or "").encode(), digest_size=16).hexdigest()
        return await self._state.charge(key, events / self._rate, BURST)
