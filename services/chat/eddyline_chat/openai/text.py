"""The text of an answer, for forms that show text alone."""

from collections.abc import Iterator
from typing import Any

from eddyline.errors import UpstreamError
from eddyline_chat.openai import chunk as chunks
from eddyline_chat.openai.chunk import Chunk
from eddyline_chat.openai.completion import LIMITED

#: Fields of a delta that is more than text: an answer with one of them is not the text alone.
_NO_TEXT = ("tool_calls", "function_call", "audio")


class Text:
    """The text of choice 0: others are other answers. Content in parts is Mistral's (`ContentChunk`
    in its reference). `text_alone`: an answer that holds anything else is an error.
    """

    def __init__(self, *, text_alone: bool = True) -> None:
        self._text_alone = text_alone
        #: The finish reason, once it has come.
        self.finish: str = ""
        #: The usage, where the upstream tells it.
        self.usage: dict[str, Any] | None = None
        self._some = False
        self._reasoned = False
        self._half = ""

    def take(self, chunk: Chunk) -> str:
        """The text that a chunk adds; raises UpstreamError where it adds something else."""
        if isinstance(usage := chunk.value.get("usage"), dict):
            self.usage = usage
        return "".join([self._take(c) for index, c in chunks.choices(chunk) if index == 0])

    def rest(self) -> str:
        """The text that is left at the end: half of a surrogate pair, which is no character."""
        half, self._half = self._half, ""
        self._some = self._some or bool(half)
        return "\N{REPLACEMENT CHARACTER}" if half else ""

    @property
    def limited(self) -> bool:
        """The model's limit was reached."""
        return self.finish in LIMITED

    def check(self) -> None:
        """Raises UpstreamError where the answer is something other than a text."""
        if self._some:
            return
        alone = "only reasoning" if self._reasoned else "no text"
        finish = f" (finish reason {self.finish})" if self.finish else ""
        raise UpstreamError(f"the upstream's answer has {alone}{finish}")

    def _take(self, choice: dict[str, Any]) -> str:
        delta = chunks.delta(choice)
        for name in _NO_TEXT:
            if self._text_alone and delta.get(name):
                raise UpstreamError(f"the upstream answered by {name}: only text can be shown here")
        content, refusal = delta.get("content"), delta.get("refusal")
        text = content if isinstance(content, str) else "".join(_texts(content))
        if refusal is not None:
            text += "".join(_texts(refusal))
        if not text and (content or delta.get("reasoning_content") or delta.get("reasoning")):
            self._reasoned = True
        if reason := chunks.reason(choice):
            self._end(reason)
        return self._joined(text) if text else ""

    def _end(self, reason: str) -> None:
        if not self._text_alone:
            self.finish = reason
            return
        if reason in ("tool_calls", "function_call"):
            raise UpstreamError(f"the upstream answered by {reason}: only text can be shown here")
        if reason == "content_filter":
            raise UpstreamError(f"the upstream cut its answer short: {reason}")
        if not self.limited:
            self.finish = reason

    def _joined(self, text: str) -> str:
        """`text` with the half of a surrogate pair before it, and without one at its end."""
        text, self._half = self._half + text, ""
        if "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        if not text.isascii():
            text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        self._some = self._some or bool(text)
        return text


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for part in content:
            yield _part(part)
    elif content is not None:
        raise UpstreamError("the upstream sent content that is not text")


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in ("thinking", "reasoning"):
        return ""
    text = part.get(kind) if kind in ("text", "refusal") else None
    if not isinstance(text, str):
        raise UpstreamError("the upstream sent a part of content that is not text")
    return text
