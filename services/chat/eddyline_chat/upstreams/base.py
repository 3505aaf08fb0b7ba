"""Upstreams make the answers: the part that others may implement."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypedDict

from eddyline.errors import Unavailable, UpstreamError


class Message(TypedDict):
    role: str
    content: str


class Upstream(Protocol):
    """A model, or a server that asks one."""

    def complete(self, messages: Sequence[Message]) -> AsyncGenerator[str, None]:
        """The tokens of an answer, as they come.

        Called once for each question, from many tasks at once; nothing is asked before the first
        step. A generator that returns says that the answer is whole, and has yielded text. One that
        cannot make it whole raises an error in words that a client may read: AnswerLimited after
        the last token, UpstreamBusy or UpstreamRefused before the first one, UpstreamError at any
        time. `aclose()` stops the generation at once, at the model as well; it is called in the
        task of the steps, which ends by a cancel scope of anyio.
        """


class AnswerLimited(UpstreamError):
    """The answer reached the limit of its length: the tokens are all that there is of it."""

    #: The finish reason for clients, in OpenAI's word.
    reason = "length"


class UpstreamRefused(UpstreamError):
    """The upstream does not take the question; `status` is the one that it gave, a 4xx."""

    title = "Upstream refused"

    def __init__(self, detail: str, status: int) -> None:
        super().__init__(detail)
        self.status = status


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
