"""How many events, or other things, a principal may write a second."""

import time
from collections.abc import Hashable

from eddyline.errors import Overloaded


class Rate:
    """Token buckets by principal, each of one second's worth. A rate of 0 is no limit.

    A batch is let in whole while its bucket holds anything, and paid for by waiting afterwards:
    so one that is larger than the bucket is not refused for ever. Counted in this process alone.
    """

    def __init__(self, per_second: float, things: str, setting: str) -> None:
        """`things` and `setting` are for the text of a refusal: "events", "EVENTS_PUBLISH_RATE"."""
        self._rate = per_second
        self._things = things
        self._setting = setting
        #: When each bucket is full again, on the monotonic clock; the soonest full come first, more
        #: or less.
        self._full_at: dict[Hashable, float] = {}

    def take(self, key: Hashable, count: int) -> None:
        """Raises Overloaded where the bucket is empty."""
        wait = self.wait(key)
        if wait > 0:
            raise Overloaded(
                f"the limit of {self._rate:g} {self._things} per second and principal"
                f" ({self._setting}) is reached",
                wait,
            )
        self.charge(key, count)

    def wait(self, key: Hashable) -> float:
        """Seconds until the bucket holds something."""
        if not self._rate:
            return 0.0
        return max(0.0, self._full_at.get(key, 0.0) - time.monotonic() - 1.0)

    def charge(self, key: Hashable, count: int) -> None:
        """Takes tokens, also those that are not there yet."""
        if not self._rate:
            return
        now = time.monotonic()
        self._forget(now)
        self._full_at[key] = max(now, self._full_at.pop(key, 0.0)) + count / self._rate

    def _forget(self, now: float) -> None:
        """A full bucket is as good as none."""
        while self._full_at and next(iter(self._full_at.values())) <= now:
            del self._full_at[next(iter(self._full_at))]
