"""Upstreams make the answers: the part that others may implement."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypedDict

from eddyline.errors import Unavailable


class Message(TypedDict):
    role: str
    content: str


class Upstream(Protocol):
    """A model, or a server that asks one."""

    def complete(self, messages: Sequence[Message]) -> AsyncGenerator[str, None]:
        """The tokens of an answer, as they come.

        Called once for each question, from many tasks at once; nothing is asked before the first
        step. A generator that returns says that the answer is whole. One that cannot make it whole
        raises UpstreamError, or UpstreamBusy before the first token, in words that a client may
        read. `aclose()` stops the generation at once, at the model as well.
        """


class UpstreamBusy(Unavailable):
    """The upstream takes no more requests now; `retry_after` is in seconds."""

    title = "Upstream is busy"


class UpstreamLimited(UpstreamBusy):
    """The upstream's rate limit is reached; `retry_after` is in seconds."""

    status = 429


@dataclass(frozen=True, slots=True)
class Upstreams:
    """The upstream of each of the lesson's routes; `label` is for the header `X-Chat-Upstream`."""

    label: str
    words: Upstream
    tokens: Upstream
    whole: Upstream
