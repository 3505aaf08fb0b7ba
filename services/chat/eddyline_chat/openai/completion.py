"""One answer of an OpenAI stream, event by event: whether it fails, and whether all has come."""

from collections.abc import Iterable

from eddyline.errors import UpstreamError
from eddyline_chat.openai import chunk as chunks
from eddyline_chat.openai.chunk import Chunk, failed, load, showable

#: The model's limit was reached; Mistral's word is the second, vLLM's engines have the third.
LIMITED = frozenset(("length", "model_length", "max_tokens"))

#: The finish reasons of OpenAI's reference.
_FINISHED = frozenset(("stop", "tool_calls", "function_call", "content_filter"))

#: Fields of a delta by which a model shows that it thinks, and has not begun its answer.
_REASONING = ("reasoning_content", "reasoning")


class Completion:
    """An answer ends by a finish reason of OpenAI's, or one of `reasons`; any other one is a fault.

    It is whole once each of its `count` choices has one. `done_alone`: `[DONE]` says so too, where
    no finish reason came before it.
    """

    def __init__(
        self, reasons: Iterable[str] = (), *, count: int = 1, done_alone: bool = False
    ) -> None:
        #: Whether `[DONE]` has come.
        self.done = False
        #: The model has begun its answer; before that it may have reasoned.
        self.begun = False
        self.reasoned = False
        self._ends = _FINISHED.union(LIMITED, reasons)
        self._count = count
        self._done_alone = done_alone
        self._finished: set[int] = set()

    @property
    def finished(self) -> bool:
        """Each choice has a finish reason."""
        return len(self._finished) == self._count

    def take(self, event: str, data: bytes) -> Chunk | None:
        """The chunk of an event; raises UpstreamError where it says that the answer failed."""
        if event == "error":
            failed(load(data) if data.startswith(b"{") else None)
        if data == b"[DONE]":
            self.done = True
            return None
        # Some gateways keep connections alive by such events instead of comments.
        if not data or event == "ping":
            return None
        chunk = chunks.parse(data)
        for index, choice in chunks.choices(chunk):
            if reason := chunks.reason(choice):
                self._end(index, reason)
            if not self.begun:
                self._begin(chunks.delta(choice))
        return chunk

    def check(self) -> None:
        """Raises UpstreamError unless the answer is whole."""
        if not self.finished and not (self.done and self._done_alone):
            raise UpstreamError("the upstream's answer ended before it was finished")

    def _begin(self, delta: dict[str, object]) -> None:
        thinks = any(map(delta.get, _REASONING))
        self.reasoned = self.reasoned or thinks
        self.begun = any(v for k, v in delta.items() if k != "role" and k not in _REASONING)

    def _end(self, index: int, reason: str) -> None:
        if reason not in self._ends:
            shown = reason if showable(reason) else "a reason that is no name"
            raise UpstreamError(f"the upstream cut its answer short: {shown}")
        if index < self._count:
            self._finished.add(index)
