"""How long one stream may last, and how long its peer may take nothing."""

import random
import time

from eddyline.connection.base import Connection
from eddyline.policy import StreamPolicy
from eddyline.telemetry.base import Reason


def deadline(
    policy: StreamPolicy, expires: float | None, seconds: float | None
) -> tuple[float, Reason]:
    """The moment on the monotonic clock at which a new stream ends, and why.

    `expires`: the end of the token, in Unix seconds. `seconds`: the longest that it may last, in
    place of the policy's.
    """
    now = time.monotonic()
    # Jittered, so that clients that came together don't come back together.
    longest = policy.max_age * random.uniform(0.8, 1.0)
    at = now + (longest if seconds is None else seconds)
    if expires is not None and (expired := now + expires - time.time()) < at:
        return expired, "expired"
    return at, "age"


class Stall:
    """A full connection. A peer that reads little is slow; one that reads nothing is stalled."""

    __slots__ = ("_connection", "_held", "_since", "_timeout")

    def __init__(self, connection: Connection, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout
        #: The bytes that the connection held at the last look, and since when it holds so many.
        self._held = connection.buffered
        self._since = time.monotonic()

    def ends_at(self, now: float) -> float:
        """The moment at which the peer will have read nothing for `timeout` seconds."""
        held = self._connection.buffered
        if held != self._held:
            self._held, self._since = held, now
        return self._since + self._timeout
