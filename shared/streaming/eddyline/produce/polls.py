"""Requests that wait for the next record of a stream."""

import asyncio
import random


class Polls:
    """A future for each request that waits: nothing else of it is known here."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    async def wait(self) -> None:
        """Returns at the next `answer`. A caller that is cancelled waits no more."""
        poll = asyncio.get_running_loop().create_future()
        self._waiting.add(poll)
        try:
            await poll
        finally:
            self._waiting.discard(poll)

    def answer(self, window: float = 0.0) -> None:
        """Lets each `wait` return, at its own random moment of `window` seconds."""
        loop = asyncio.get_running_loop()
        waiting, self._waiting = self._waiting, set()
        for poll in waiting:
            if window:
                loop.call_later(random.uniform(0, window), _answer, poll)
            else:
                _answer(poll)


def _answer(poll: asyncio.Future[None]) -> None:
    if not poll.done():
        poll.set_result(None)
