"""Stream cursors: numbers by which caches tell requests of one moment from later ones (10.1)."""

import math
import random
import re
import time

#: Seconds of one number, and the time of number 0: October 9, 2024.
INTERVAL = 20
_START = 1728432000

#: Seconds by which the number of a client that is ahead grows, at most.
_JITTER = 3600

_NUMBER = re.compile(r"[0-9]{1,15}\Z")


def parse(text: str | None) -> int | None:
    """The cursor that a client has echoed; None for any other text."""
    return int(text) if text and _NUMBER.match(text) else None


def following(cursor: int | None) -> str:
    """The cursor of a response: this interval's, or a greater one than the client has sent.

    Else a cache would give it the same answer for ever.
    """
    now = int(time.time() - _START) // INTERVAL
    if cursor is None or cursor < now:
        return str(now)
    return str(cursor + math.ceil(random.randint(1, _JITTER) / INTERVAL))
