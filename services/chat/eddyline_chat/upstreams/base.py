"""An upstream: whatever makes the answers. The seam between HTTP and a model."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypedDict

from eddyline.errors import Unavailable


class Message(TypedDict):
    role: str
    content: str


class Upstream(Protocol):
    def complete(self, messages: Sequence[Message]) -> AsyncGenerator[str, None]:
        """The answer's tokens as they come. Returning means that the answer is whole; else it
        raises UpstreamError.

        `aclose()` on the generator stops the generation at once, at the upstream as well.
        """


class UpstreamBusy(Unavailable):
    """The upstream takes no more requests now; `retry_after` is in seconds."""

    title = "Upstream is busy"


class UpstreamLimited(UpstreamBusy):
    """The upstream's rate limit is reached; `retry_after` is in seconds."""

    status = 429


@dataclass(frozen=True, slots=True)
class Upstreams:
    """Who answers at each of the lesson's routes; `label` is for the header `X-Chat-Upstream`."""

    label: str
    words: Upstream
    tokens: Upstream
    whole: Upstream
