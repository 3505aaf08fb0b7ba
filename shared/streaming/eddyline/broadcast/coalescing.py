"""How busy fan-out keeps a process: the common knowledge of a broadcast's audiences."""

import time
from typing import Final

#: Audiences linger once writing each event by itself would take this share of the time.
BUSY = 0.6

#: Seconds between two flushes whose lag is measured: it would cost a small audience a tenth more.
SAMPLE = 0.01

#: Seconds over which the share is taken, at least, and the newest one's weight in the average.
_WINDOW = 0.1
_WEIGHT = 0.3


class FlushGovernor:
    """Many small audiences keep a process as busy as a large one, and none of them can tell.

    `interval`: seconds between two flushes of an audience, at least.
    """

    __slots__ = ("_alone", "_sample_at", "_share", "_since", "interval", "worked")

    def __init__(self, interval: float) -> None:
        self.interval: Final = interval
        #: Seconds that all flushes took, ever.
        self.worked: float = 0.0
        self._alone = 0.0  # the seconds of this window, had each event been written alone
        self._since = time.monotonic()
        self._share = 0.0
        self._sample_at = 0.0

    def sampled(self, now: float) -> bool:
        """Whether a flush at this moment is one to be measured: one in SAMPLE seconds, at most."""
        if now < self._sample_at:
            return False
        self._sample_at = now + SAMPLE
        return True

    @property
    def busy(self) -> bool:
        return self._share > BUSY

    def flushed(self, events: int, began: float, now: float) -> None:
        """Called when `events` were written together to an audience."""
        self.worked += now - began
        self._alone += events * (now - began)
        elapsed = now - self._since
        if elapsed >= _WINDOW:
            self._share += _WEIGHT * (self._alone / elapsed - self._share)
            self._alone = 0.0
            self._since = now
