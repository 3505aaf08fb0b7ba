"""When each of very many subscribers is to be looked at next: one timer, one set entry each."""

import asyncio
import time
from typing import Protocol


class Due(Protocol):
    #: The second, of the monotonic clock, at which `on_time` is called next; older entries are
    #: void.
    due: int

    def on_time(self, now: float) -> None: ...


class TimerWheel:
    """Calls `on_time` to the second. Runs a timer only while there are entries."""

    def __init__(self) -> None:
        self._seconds: dict[int, set[Due]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0

    def add(self, item: Due, at: float) -> None:
        """Sets the one next moment of `item`, in place of any earlier entry."""
        now = time.monotonic()
        second = int(max(at, now)) + 1
        if item.due != second:
            self.remove(item)
            item.due = second
            self._seconds.setdefault(second, set()).add(item)
        if self._timer is None:
            self._next = int(now) + 1
            self._wind(now)

    def remove(self, item: Due) -> None:
        """Forgets an item, also one that is not there."""
        items = self._seconds.get(item.due)
        if items is not None:
            items.discard(item)
            if not items:
                del self._seconds[item.due]
        item.due = 0

    def _wind(self, now: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._next - now, self._tick)

    def _tick(self) -> None:
        now = time.monotonic()
        while self._next <= now:
            for item in self._seconds.pop(self._next, ()):
                item.due = 0
                item.on_time(now)
            self._next += 1
        self._timer = None
        if self._seconds:
            self._wind(now)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._seconds.clear()
