"""Admission: how many streams may be open, in this process, for one principal, from one address."""

import ipaddress
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, Self

from starlette.requests import Request

from eddyline.auth.principal import Principal
from eddyline.errors import Overloaded
from eddyline.policy import StreamPolicy
from eddyline.service.drain import Drain
from eddyline.telemetry import logs as jsonlog
from eddyline.telemetry.base import Kind, NoStreamMeter, Reason, StreamMeter, StreamTrace


class Limits:
    """One for each process. A limit of 0 is none.

    `refused` is told which limit (`process`, `principal`, `address`) kept a stream out. `trace`
    begins the trace of a stream of the present request.
    """

    def __init__(
        self,
        drain: Drain,
        *,
        streams: int = 0,
        per_principal: int = 0,
        per_address: int = 0,
        refused: Callable[[str], None] = lambda limit: None,
        trace: Callable[[], StreamTrace | None] = lambda: None,
    ) -> None:
        self._drain = drain
        self._limit = streams
        self._subjects = _Counter("principal", per_principal, refused)
        self._networks = _Counter("address", per_address, refused)
        self._refused = refused
        self._trace = trace
        self._open = 0
        #: Permits within a `with` block that no response has taken over yet. Kept here: a flag in
        #: each permit would cost memory for as long as its stream is open.
        self.unclaimed: set[Permit] = set()

    @property
    def open(self) -> int:
        """Permits that are not released."""
        return self._open

    def admit(
        self,
        subject: str | None = None,
        address: str | None = None,
        request_id: str | None = None,
        trace: StreamTrace | None = None,
    ) -> "Permit":
        """A permit, until the stream ends; raises Unavailable while draining, or Overloaded."""
        self._drain.admit()
        if self._limit and self._open >= self._limit:
            self._refused("process")
            raise Overloaded(f"the limit of streams per process ({self._limit}) is reached")
        network = network_of(address) if address and self._networks.limit else None
        self._subjects.check(subject)
        self._networks.check(network)
        # Nothing raises from here on: the counts are taken back with the permit.
        self._open += 1
        self._drain.opened()
        counted = self._subjects.add(subject), self._networks.add(network)
        logged = request_id if jsonlog.logs_ends() else None
        if trace is None:
            return Permit(self, *counted, logged)
        return TracedPermit(self, *counted, logged, trace)

    def for_request(self, request: Request, principal: Principal) -> "Permit":
        """`admit` for the client and the principal of a request."""
        address = request.client.host if request.client else None
        request_id = request.scope.get("request_id")
        return self.admit(principal.identity, address, request_id, self._trace())

    def _release(self, subject: Hashable, network: Hashable) -> None:
        self._open -= 1
        self._drain.closed()
        self._subjects.remove(subject)
        self._networks.remove(network)


class Permit:
    """One admitted stream; `release()` may be called any number of times, wherever it ends.

    Within `with permit:` every error gives it back. So does the end of the block, unless a
    response has taken the permit over (`hand_over`): then it is the response that releases it.
    """

    __slots__ = ("_limits", "_network", "_subject", "request_id")

    #: The trace of its stream.
    trace: StreamTrace | None = None

    def __init__(
        self,
        limits: Limits,
        subject: Hashable,
        network: Hashable,
        request_id: str | None,
    ) -> None:
        #: The id of the request that got the permit, for the log when the stream ends.
        self.request_id: Final = request_id
        self._limits: Limits | None = limits
        self._subject = subject
        self._network = network

    def hand_over(self) -> None:
        """From now on a response holds the permit, and releases it."""
        if self._limits is not None:
            self._limits.unclaimed.discard(self)

    def ended(self, meter: StreamMeter, reason: Reason, seconds: float, **more: int) -> None:
        """The log and the trace of its stream say that it ended; `more` goes into the log."""
        jsonlog.stream_ended(meter, reason, seconds, self.request_id, **more)
        if self.trace is not None:
            self.trace.end(meter, reason)

    def release(self) -> None:
        limits, self._limits = self._limits, None
        if limits is not None:
            limits.unclaimed.discard(self)
            limits._release(self._subject, self._network)

    def __enter__(self) -> Self:
        if self._limits is not None:
            self._limits.unclaimed.add(self)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._limits is not None and (error is not None or self in self._limits.unclaimed):
            self.release()


class TracedPermit(Permit):
    """A permit whose stream has a trace: the others have no place for one, which costs memory."""

    __slots__ = ("trace",)

    def __init__(
        self,
        limits: Limits,
        subject: Hashable,
        network: Hashable,
        request_id: str | None,
        trace: StreamTrace,
    ) -> None:
        super().__init__(limits, subject, network, request_id)
        self.trace: StreamTrace = trace


@dataclass(frozen=True)
class StreamContext:
    """The conditions of one body: its limits, its measures, and the end of the process.

    The response takes the permit over and gives it back; `expires`, in Unix seconds, is the end of
    the token that it was asked for with.
    """

    policy: StreamPolicy
    drain: Drain
    meter: StreamMeter
    permit: Permit
    expires: float | None = None

    @classmethod
    def from_defaults(cls, kind: Kind) -> "StreamContext":
        """The conditions of a body that no service sends: any number of them, and no measures."""
        drain = Drain()
        return cls(StreamPolicy(), drain, NoStreamMeter(kind=kind), Limits(drain).admit())


class _Counter:
    """Streams for each key, while it has any; nothing is counted without a limit, or for None."""

    __slots__ = ("_counts", "_noun", "_refused", "limit")

    def __init__(self, noun: str, limit: int, refused: Callable[[str], None]) -> None:
        self._noun = noun
        self._refused = refused
        self.limit = limit
        self._counts: dict[Hashable, int] = {}

    def check(self, key: Hashable) -> None:
        if self.limit and self._counts.get(key, 0) >= self.limit:
            self._refused(self._noun)
            raise Overloaded(
                f"the limit of streams per {self._noun} ({self.limit}) is reached: close one first"
            )

    def add(self, key: Hashable) -> Hashable:
        """The key to give to `remove`."""
        if not self.limit or key is None:
            return None
        self._counts[key] = self._counts.get(key, 0) + 1
        return key

    def remove(self, key: Hashable) -> None:
        if key is None:
            return
        if self._counts[key] == 1:
            del self._counts[key]
        else:
            self._counts[key] -= 1


def network_of(address: str) -> Hashable:
    """The part of an address that counts: of IPv6 the /64, which one host may use (RFC 6177)."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return int(parsed) >> 64
