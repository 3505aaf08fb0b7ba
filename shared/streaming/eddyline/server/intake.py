"""Requests on their way in: the bounds of a head, and of the time that a client may take.

A connection costs a file and a parser before it has sent anything, and nobody has admitted it yet.
"""

import asyncio
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

Headers = Iterable[tuple[bytes, bytes]]

#: Requests that a client may send before the first of them is answered.
PIPELINED = 128

#: Seconds between two looks at the connections that wait.
TICK = 1.0

#: Seconds of silence from which on a connection is ended where too many wait. A crowd of clients
#: that come back at once is not silent.
QUIET = 2.0

#: A value of Host: a name or an address, and a port (RFC 3986 section 3.2.2).
_HOST = re.compile(rb"[A-Za-z0-9._~%!$&'()*+,;=:\[\]-]*\Z")


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """The bounds of a request's head, in bytes and lines, and of its coming, in seconds."""

    target_bytes: int = 8 * 1024
    head_bytes: int = 32 * 1024
    head_lines: int = 100
    #: From the first byte to the last of a head; of a new connection, from its opening.
    head_timeout: float = 10.0
    #: Between two reads of a body.
    body_timeout: float = 10.0
    #: Connections that wait for a request, or for the rest of one.
    waiting: int = 2000


class Refused(Exception):
    """A request that is answered by `status` before any app sees it."""

    def __init__(self, status: int, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.status: Final = status
        #: One word, for the metric.
        self.reason: Final = reason
        self.detail: Final = detail


def too_long(limits: RequestLimits) -> Refused:
    """A head without an end, or trailers."""
    detail = f"a request's head may have {limits.head_bytes} bytes (EDDYLINE_HEAD_BYTES)"
    return Refused(431, "head_bytes", detail)


def check_framing(headers: Headers, version: str) -> None:
    """Raises Refused where RFC 9112 wants it, and no parser does it."""
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (not hosts and version != "1.0"):
        raise Refused(400, "host", f"{len(hosts)} Host lines: expected one (RFC 9112 section 3.2)")
    if hosts and _HOST.match(hosts[0]) is None:
        raise Refused(400, "host", "a Host that is none: expected a name or an address, and a port")
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if codings:
        _check_codings(b",".join(codings), version)


def has_body(headers: Headers) -> bool:
    """Whether a request's head announces a body."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b" 0"))
        for name, value in headers
    )


def _check_codings(value: bytes, version: str) -> None:
    if version == "1.0":
        detail = "Transfer-Encoding in HTTP/1.0: its framing is unknown (RFC 9112 section 6.1)"
        raise Refused(400, "transfer_encoding", detail)
    if value.strip().lower() != b"chunked":
        detail = f"Transfer-Encoding: {value[:100].decode('latin-1')!r}: expected chunked alone"
        raise Refused(501, "transfer_encoding", detail)


class Waiter(Protocol):
    """A connection that waits for its client."""

    def on_overdue(self) -> None:
        """Its time is over: it must leave, or name a new time."""

    def on_crowded(self) -> None:
        """Too many wait, and it has been silent for longest: it must leave."""


class Waiting:
    """The connections of one process that wait for their clients, the longest silent first.

    `refused` is told the reason of each request that did not come to an app, `counted` the number
    that waits.
    """

    def __init__(
        self,
        limits: RequestLimits,
        refused: Callable[[str], None] = lambda reason: None,
        counted: Callable[[int], None] = lambda number: None,
    ) -> None:
        self.limits: Final = limits
        self.refused: Final = refused
        self._counted = counted
        #: The moment when each began to be silent, and that by which it must say something.
        self._times: dict[Waiter, tuple[float, float]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._times)

    def watch(self, waiter: Waiter, seconds: float) -> None:
        """`waiter` was heard now, and has `seconds` to be heard again."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._times.pop(waiter, None)
        self._times[waiter] = (now, now + seconds)
        if len(self._times) > self.limits.waiting:
            self._make_room(now)
        if self._timer is None:
            self._timer = loop.call_later(TICK, self._look)

    def forget(self, waiter: Waiter) -> None:
        """It waits no longer."""
        self._times.pop(waiter, None)

    def _make_room(self, now: float) -> None:
        silent, (since, _) = next(iter(self._times.items()))
        if now - since > QUIET:
            del self._times[silent]
            self.refused("crowded")
            silent.on_crowded()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for waiter in [waiter for waiter, (_, due) in self._times.items() if due <= now]:
            del self._times[waiter]
            waiter.on_overdue()
        while len(self._times) > self.limits.waiting:
            before = len(self._times)
            self._make_room(now)
            if len(self._times) == before:
                break
        self._counted(len(self._times))
        self._timer = loop.call_later(TICK, self._look) if self._times else None
