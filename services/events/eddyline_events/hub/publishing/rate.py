"""How many events a principal may publish a second."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import blake2b

from eddyline.errors import Overloaded
from eddyline.journal.state import State
from eddyline_events.hub.options import Namespaces

#: Seconds of events that may come at once.
BURST = 1.0


class Rate:
    """Token buckets by principal, over all processes and protocols of a hub; 0 is no limit.

    A batch is let in whole while its bucket holds anything, and paid for by waiting afterwards:
    so one that is larger than the bucket is not refused for ever.
    """

    def __init__(self, state: State, events_per_second: float, namespaces: Namespaces) -> None:
        self._state = state
        self._rate = events_per_second
        self._namespaces = namespaces

    async def take(self, identity: str | None, topics: Iterable[str]) -> None:
        """One event of each topic; raises Overloaded where a bucket is empty, or Unavailable."""
        for prefix, rate, events in self._buckets(topics):
            wait = await self._charge(identity, prefix, rate, events)
            if wait > 0:
                raise Overloaded(
                    f"the limit of {rate:g} events per second and principal"
                    f" ({'EVENTS_PUBLISH_RATE' if prefix is None else repr(prefix)}) is reached",
                    wait,
                )

    async def wait(self, identity: str | None, topics: Iterable[str]) -> None:
        """Takes events as soon as their buckets hold something."""
        for prefix, rate, events in self._buckets(topics):
            while (seconds := await self._charge(identity, prefix, rate, events)) > 0:
                await asyncio.sleep(seconds)

    def _buckets(self, topics: Iterable[str]) -> Iterator[tuple[str | None, float, int]]:
        """The namespace, the rate, and the events of each bucket."""
        counts = Counter(map(self._namespaces.of, topics))
        shared = sum(count for each, count in counts.items() if each.publish_rate is None)
        if shared and self._rate:
            yield None, self._rate, shared
        for options, count in counts.items():
            if options.publish_rate:
                yield options.prefix, options.publish_rate, count

    async def _charge(
        self, identity: str | None, prefix: str | None, rate: float, events: int
    ) -> float:
        # A digest: the store learns no names.
        text = repr((identity, prefix))
        key = "rate:" + blake2b(text.encode(), digest_size=16).hexdigest()
        return await self._state.charge(key, events / rate, BURST)
