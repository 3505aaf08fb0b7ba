"""The process's drain: refuse new streams, end the open ones spread over a window, wait for them.

SIGTERM reaches it through `StreamServer.shutdown`, as do SIGINT, gunicorn's HUP and `max_requests`.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from eddyline.errors import Unavailable

logger: Final = logging.getLogger(__name__)

#: Given the seconds in which its streams are to end, each at its own random moment.
Ender = Callable[[float], None]


class Drain:
    """One for each process; every source of streams registers here.

    Times are in seconds. `measured` is told how long the drain has taken, at each end of a stream.
    """

    def __init__(
        self,
        notice: float = 0.0,
        window: float = 20.0,
        measured: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self.notice = notice
        self.window = window
        self.draining: bool = False
        self._began: float | None = None
        self._ending = False
        self._enders: dict[object, Ender] = {}
        self._cutters: dict[object, Callable[[], None]] = {}
        self._open = 0
        self._measured = measured
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def open(self) -> int:
        """Streams that are open now."""
        return self._open

    def admit(self) -> None:
        """Raises Unavailable while draining."""
        if self.draining:
            raise Unavailable("this process is stopping: connect again to reach another", 2.0)

    def opened(self) -> None:
        self._open += 1
        self._empty.clear()

    def closed(self) -> None:
        self._open -= 1
        if self._began is not None:
            # At each end: the process may be gone before it could be told at the last.
            self._measured(time.monotonic() - self._began)
        if self._open == 0:
            self._empty.set()

    def on_begin(self, owner: object, ender: Ender) -> None:
        """`ender(window)` is called when the window opens, at once where it has."""
        self._enders[owner] = ender
        if self._ending:
            self._call(ender, self.window)

    def on_deadline(self, owner: object, cutter: Callable[[], None]) -> None:
        """`cutter()` is called when the window has passed: streams that still run are aborted."""
        self._cutters[owner] = cutter

    def forget(self, owner: object) -> None:
        self._enders.pop(owner, None)
        self._cutters.pop(owner, None)

    async def run(self) -> None:
        """Drains; returns when no stream is open, at the latest a moment after the window."""
        self._began = time.monotonic()
        self.draining = True
        if self.notice:
            # The balancer goes on sending until it has noticed that /readyz fails.
            await asyncio.sleep(self.notice)
        self._ending = True
        for ender in list(self._enders.values()):
            self._call(ender, self.window)
        if not await self._wait_empty(self.window + 0.5):
            for cutter in list(self._cutters.values()):
                self._call(cutter)
            await self._wait_empty(1.0)
        self._measured(time.monotonic() - self._began)

    def _call(self, hook: Callable[..., None], *arguments: float) -> None:
        try:
            hook(*arguments)
        except Exception:
            # One source of streams that fails must not keep the others from ending.
            logger.exception("a stream could not be ended")

    async def _wait_empty(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._empty.wait(), seconds)
        except TimeoutError:
            return False
        return True
