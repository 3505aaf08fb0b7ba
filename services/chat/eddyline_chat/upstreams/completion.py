"""One answer of an OpenAI stream, event by event: its text, and whether all of it has come."""

from collections.abc import Iterable

from eddyline.errors import UpstreamError
from eddyline.wire import sse
from eddyline_chat.upstreams.base import AnswerLimited
from eddyline_chat.upstreams.delta import Delta, failed, load, showable

#: The model's limit was reached; Mistral's word is the second, vLLM's engines have the third.
_LIMITED = frozenset(("length", "model_length", "max_tokens"))

_TOOLS = frozenset(("tool_calls", "function_call"))


class Completion:
    """An answer is whole only if its finish reason says so: `stop`, or one of `reasons`.

    `done_alone`: `[DONE]` says so too, where no finish reason came before it.
    """

    def __init__(self, reasons: Iterable[str] = (), *, done_alone: bool = False) -> None:
        #: Whether `[DONE]` has come.
        self.done = False
        #: The finish reason, once it has come.
        self.finish = ""
        self.has_text = False
        #: Whether the newest chunk adds to the reasoning.
        self.reasons = False
        self.has_reasoning = False
        self._whole = frozenset(("stop", *reasons))
        self._done_alone = done_alone
        self._half = ""

    def take(self, event: sse.Event) -> str:
        """The text that `event` adds; raises UpstreamError where it says that the answer failed."""
        data = event.data.strip()
        if event.event == "error":
            failed(load(data) if data.startswith("{") else None)
        if data == "[DONE]":
            self.done = True
            return ""
        # Some gateways keep connections alive by such events instead of comments.
        if not data or event.event == "ping":
            return ""
        delta = Delta.parse(data)
        self.reasons = delta.reasoning
        self.has_reasoning = self.has_reasoning or delta.reasoning
        self._end(delta.finish)
        return self._joined(delta.text)

    def rest(self) -> str:
        """The text that is left at the end: half of a surrogate pair, which is no character."""
        half, self._half = self._half, ""
        self.has_text = self.has_text or bool(half)
        return "\N{REPLACEMENT CHARACTER}" if half else ""

    def check(self) -> None:
        """Raises UpstreamError unless the answer is whole and has text; AnswerLimited where it has
        the text that the model's limit allows.
        """
        if not self.finish and not (self.done and self._done_alone):
            raise UpstreamError("the upstream's answer ended before it was finished")
        if not self.has_text:
            alone = "only reasoning" if self.has_reasoning else "no text"
            finish = f" (finish reason {self.finish})" if self.finish else ""
            raise UpstreamError(f"the upstream's answer has {alone}{finish}")
        if self.finish in _LIMITED:
            raise AnswerLimited("the upstream cut its answer short: length")

    def _end(self, reason: str) -> None:
        if reason in _TOOLS:
            raise UpstreamError(f"the upstream answered by {reason}: only text can be shown here")
        if reason and reason not in self._whole and reason not in _LIMITED:
            shown = reason if showable(reason) else "a reason that is no name"
            raise UpstreamError(f"the upstream cut its answer short: {shown}")
        if self.finish not in _LIMITED:
            self.finish = reason or self.finish

    def _joined(self, text: str) -> str:
        """`text` with the half of a surrogate pair before it, and without one at its end."""
        text, self._half = self._half + text, ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        if not text.isascii():
            text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        self.has_text = self.has_text or bool(text)
        return text
