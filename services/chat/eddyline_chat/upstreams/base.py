"""Upstreams make the answers: the part that others may implement."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from eddyline.errors import StreamingError, Unavailable, UpstreamError
from eddyline_chat.openai.chunk import Chunk

#: A message of OpenAI's API: `role`, `content`, and other fields that the API has.
Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """A request for an answer: a body of OpenAI's `POST /chat/completions`.

    `body` has `messages` at least; `stream` says whether the answer comes in pieces. `headers` are
    passed on: the id of the request, its trace.
    """

    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


class Receiver(Protocol):
    """Takes one answer. Called in the event loop; never blocks."""

    def on_chunks(self, chunks: Sequence[Chunk]) -> None:
        """The chunks of one read."""

    def on_end(self, error: StreamingError | None, chunks: Sequence[Chunk] = ()) -> None:
        """Once, with the last chunks. No error: the answer is whole, by a finish reason or by a
        setting.
        """


class Exchange(Protocol):
    """One answer on its way. Each method may be called at any time, and awaits nothing."""

    def pause(self) -> None:
        """The client takes no more for now: the upstream has to wait."""

    def resume(self) -> None: ...

    def close(self) -> None:
        """Stops the answer at the model, too. The receiver is told nothing any more."""


class Upstream(Protocol):
    """A model, or a server that asks one."""

    def ask(self, question: Question, receiver: Receiver) -> Exchange:
        """Begins an answer; called in the event loop. `receiver` is told nothing before this has
        returned.

        An answer that cannot be made whole ends with an error in words that a client may read:
        UpstreamBusy or UpstreamRefused before the first chunk, UpstreamError at any time.
        """


class AnswerLimited(UpstreamError):
    """The answer reached the limit of its length, and its form has no place for that."""


class UpstreamRefused(UpstreamError):
    """The upstream does not take the question; `status` is the one that it gave, a 4xx. `code` is
    its code for the reason, where it is one of OpenAI's form.
    """

    title = "Upstream refused"

    def __init__(self, detail: str, status: int, code: str | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code


class UpstreamBusy(Unavailable):
    """The upstream takes no more requests now; `retry_after` is in seconds."""

    title = "Upstream is busy"


class UpstreamLimited(UpstreamBusy):
    """The upstream's rate limit is reached; `retry_after` is in seconds."""

    status = 429


@dataclass(frozen=True, slots=True)
class Upstreams:
    """The upstream of each of the lesson's routes, and that of OpenAI's.

    `label` is for the header `X-Chat-Upstream`; `model` the name of the model for clients.
    """

    label: str
    model: str
    words: Upstream
    tokens: Upstream
    whole: Upstream
    completions: Upstream
