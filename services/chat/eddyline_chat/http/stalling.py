"""A client that takes nothing: how long it may."""

import asyncio
from collections.abc import Callable

from eddyline.connection.base import Connection


class Stalling:
    """Calls `give_up` once the client has taken no byte for `seconds`."""

    def __init__(self, connection: Connection, seconds: float, give_up: Callable[[], None]) -> None:
        self._connection = connection
        self._seconds = seconds
        self._give_up = give_up
        self._loop = asyncio.get_running_loop()
        self._progress = self._loop.time()
        self._buffered = connection.buffered
        self._timer = self._loop.call_later(seconds / 4, self._look)

    def stop(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        buffered, now = self._connection.buffered, self._loop.time()
        if buffered != self._buffered:
            self._buffered, self._progress = buffered, now
        elif now - self._progress >= self._seconds:
            self._give_up()
            return
        self._timer = self._loop.call_later(self._seconds / 4, self._look)
