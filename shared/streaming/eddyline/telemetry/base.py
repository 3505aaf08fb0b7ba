"""The measures of a stream: implemented by Prometheus (`metrics.py`), or by nothing.

The library measures through these protocols alone, so that importing it registers no metric.
"""

from typing import Final, Literal, Protocol

#: The source of a stream: a broadcast (many readers of one journal), a pull (one producer) or a
#: file.
Kind = Literal["broadcast", "pull", "file"]

#: Why a stream ended. `complete`: all of it was sent; `client_closed`: the client went; the
#: others: the server ended it.
Reason = Literal[
    "complete", "client_closed", "age", "drain", "expired", "stalled", "failed", "closed", "kicked"
]

#: Requests of probes and scrapes: not traced, and logged only where they fail.
QUIET_PATHS: Final = frozenset(("/livez", "/readyz", "/metrics"))


class Counter(Protocol):
    def inc(self, amount: float = 1) -> None: ...


class Gauge(Protocol):
    def inc(self, amount: float = 1) -> None: ...

    def dec(self, amount: float = 1) -> None: ...

    def set(self, value: float) -> None: ...


class Histogram(Protocol):
    def observe(self, amount: float) -> None: ...


class StreamMeter(Protocol):
    """The measures of the streams of one service and kind; times are in seconds."""

    @property
    def service(self) -> str: ...

    @property
    def kind(self) -> Kind: ...

    @property
    def first_byte(self) -> Histogram: ...

    @property
    def bytes(self) -> Counter: ...

    @property
    def events(self) -> Counter: ...

    @property
    def slow_consumers(self) -> Counter: ...

    @property
    def catch_up_reads(self) -> Counter: ...

    @property
    def lag(self) -> Histogram: ...

    @property
    def topics(self) -> Gauge: ...

    @property
    def audiences(self) -> Gauge: ...

    def begin(self) -> None:
        """A stream begins."""

    def end(self, reason: Reason, seconds: float) -> None:
        """A stream that lasted for `seconds` has ended."""

    def resumed(self, result: str, seconds: float) -> None:
        """A subscriber that came back is live again; `result`: `complete`, or the gap."""

    def reset(self, reason: str) -> None:
        """A subscriber was told of a gap."""


class StreamTrace(Protocol):
    """The trace of one stream."""

    def count(self, events: int, size: int) -> None:
        """Adds events and bytes of the body that were handed to its connection."""

    def end(self, meter: StreamMeter, reason: Reason) -> None:
        """The stream has ended."""


class BusMeter(Protocol):
    """The measures of one hub's bus."""

    @property
    def connects(self) -> Counter: ...

    @property
    def gaps(self) -> Counter: ...

    @property
    def refilled(self) -> Counter: ...

    @property
    def proven_at(self) -> Gauge: ...

    @property
    def memory(self) -> Gauge: ...

    @property
    def memory_limit(self) -> Gauge: ...


class Unmeasured:
    """A counter, gauge and histogram that keeps nothing."""

    __slots__ = ()

    def inc(self, amount: float = 1) -> None:
        pass

    def dec(self, amount: float = 1) -> None:
        pass

    def set(self, value: float) -> None:
        pass

    def observe(self, amount: float) -> None:
        pass


UNMEASURED = Unmeasured()


class NoStreamMeter:
    """Measures nothing; `service` and `kind` stand in the log."""

    first_byte: Final = UNMEASURED
    bytes: Final = UNMEASURED
    events: Final = UNMEASURED
    slow_consumers: Final = UNMEASURED
    catch_up_reads: Final = UNMEASURED
    lag: Final = UNMEASURED
    topics: Final = UNMEASURED
    audiences: Final = UNMEASURED

    def __init__(self, service: str = "", kind: Kind = "broadcast") -> None:
        self.service = service
        self.kind: Kind = kind

    def begin(self) -> None:
        pass

    def end(self, reason: Reason, seconds: float) -> None:
        pass

    def resumed(self, result: str, seconds: float) -> None:
        pass

    def reset(self, reason: str) -> None:
        pass


class NoBusMeter:
    """Measures nothing."""

    connects: Final = UNMEASURED
    gaps: Final = UNMEASURED
    refilled: Final = UNMEASURED
    proven_at: Final = UNMEASURED
    memory: Final = UNMEASURED
    memory_limit: Final = UNMEASURED
