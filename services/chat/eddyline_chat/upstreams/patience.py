"""The time that an upstream may still take for its next token."""

import asyncio
from collections.abc import Callable

#: Seconds by which a timer of a loop that runs is not late.
_STALLED = 0.1


class Patience:
    """Seconds that an upstream may still take; `give_up` is called when they are used up.

    Only waiting for the upstream uses them up: a slow client, for which it is paused, does not. One
    timer serves all tokens: it looks at the time when it fires.
    """

    def __init__(self, seconds: float, give_up: Callable[[], None]) -> None:
        self.limit: float = seconds
        self._loop = asyncio.get_running_loop()
        self._give_up = give_up
        self._deadline = self._loop.time() + seconds
        self._left: float | None = None
        self._timer = self._loop.call_at(self._deadline, self._look)

    def begin(self, seconds: float) -> None:
        """Gives the upstream `seconds` from now on."""
        self.limit = seconds
        if self._left is not None:
            self._left = seconds
            return
        self._deadline = self._loop.time() + seconds
        if self._timer.when() > self._deadline:
            self._arm()

    def pause(self) -> None:
        if self._left is None:
            self._left = max(0.0, self._deadline - self._loop.time())

    def resume(self) -> None:
        if self._left is not None:
            self._deadline, self._left = self._loop.time() + self._left, None
            self._arm()

    def stop(self) -> None:
        self._timer.cancel()

    def _arm(self) -> None:
        self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._look)

    def _look(self) -> None:
        if self._left is not None:
            return
        late = self._loop.time() - self._deadline
        if late > _STALLED:
            # This process did not run: the upstream's bytes may wait.
            self._deadline += late + min(late, self.limit)
        if self._loop.time() >= self._deadline:
            self._give_up()
        else:
            self._arm()
