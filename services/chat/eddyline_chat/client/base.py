"""The receiver of an HTTP response, and the faults of a connection."""

from dataclasses import dataclass
from typing import Protocol


class Fault(Exception):
    """The connection failed before the response was whole."""


class Unreachable(Fault):
    """No connection could be made."""


class Broken(Fault):
    """The connection broke, or its bytes are not HTTP."""


@dataclass(frozen=True, slots=True)
class Head:
    """A status, and the headers by their names in lower case."""

    status: int
    headers: dict[str, str]


class Receiver(Protocol):
    """Takes one response. Called in the event loop; never blocks. Nothing is called after
    `Exchange.close`, nor before `Pool.send` has returned.
    """

    def on_head(self, head: Head) -> None:
        """Once, first."""

    def on_body(self, data: bytes) -> None:
        """The bytes of one read from the socket."""

    def on_end(self, fault: Fault | None) -> None:
        """Once, last. None: the response is whole, as HTTP frames it."""
