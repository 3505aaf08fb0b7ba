"""One topic, as the subscribers of a process heard it: they are each other's witnesses."""

import time
from typing import Protocol


class Newcomer(Protocol):
    """A stream that brought no event yet."""

    def expect(self, due: float) -> None:
        """From now on an event must come within `due` seconds."""


class Topic:
    """Nobody knows whether a topic has a publisher, and since when. But once one subscriber hears
    an event that was sent while another one was there, that one should hear something, too.
    """

    def __init__(self) -> None:
        self._newest = 0.0
        #: When each came, and how long its silence may be.
        self._newcomers: dict[Newcomer, tuple[float, float]] = {}

    def join(self, newcomer: Newcomer, stall: float) -> None:
        self._newcomers[newcomer] = (time.time(), stall)

    def leave(self, newcomer: Newcomer) -> None:
        """It heard an event, or is no more."""
        self._newcomers.pop(newcomer, None)

    def heard(self, sent: float) -> None:
        """Somebody heard an event of this unix time."""
        if sent <= self._newest:
            return
        self._newest = sent
        for newcomer, (came, stall) in list(self._newcomers.items()):
            # Not at once: a server may have begun to answer, and not yet to listen.
            if sent > came + stall:
                self.leave(newcomer)
                newcomer.expect(stall)
