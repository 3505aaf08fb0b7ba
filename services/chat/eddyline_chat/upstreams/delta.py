"""One chunk of an OpenAI stream: the text that it adds to the first choice, and its finish reason.

The fields are those of "The chat completion chunk object" in OpenAI's API reference; content in
parts is Mistral's (`ContentChunk` in its reference).
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn, Self

import orjson

from eddyline.errors import UpstreamError

#: The only part of an upstream's texts that may be shown: the others can quote parts of the key.
_CODE = re.compile(r"[a-z_]{1,64}\Z")

#: Fields of a delta that is more than text: an answer with one of them is not the text alone.
_NO_TEXT = ("tool_calls", "function_call", "audio")

_REASONING = ("reasoning_content", "reasoning")


@dataclass(frozen=True, slots=True)
class Delta:
    """`text` is empty in chunks that carry a role, usage or reasoning only; `finish` is empty until
    the choice ends.
    """

    text: str = ""
    finish: str = ""
    reasoning: bool = False

    @classmethod
    def parse(cls, data: str) -> Self:
        """Raises UpstreamError for an error object, for data that is no chunk, and for a choice
        that holds something other than text.
        """
        chunk = load(data)
        if not isinstance(chunk, dict):
            raise UpstreamError("the upstream sent a chunk that is not a JSON object")
        choice = _first(chunk.get("choices"))
        if chunk.get("error") or chunk.get("object") == "error" or choice.get("error"):
            failed(chunk if chunk.get("error") else choice or chunk)
        if "choices" not in chunk and not chunk.get("usage"):
            failed(chunk)
        delta = choice.get("delta") or choice.get("message") or {}
        if not isinstance(delta, dict):
            raise UpstreamError("the upstream sent a delta that is not a JSON object")
        for name in _NO_TEXT:
            if delta.get(name):
                raise UpstreamError(f"the upstream answered by {name}: only text can be shown here")
        texts = "".join(_texts(delta.get("content"))) + "".join(_texts(delta.get("refusal")))
        reasoning = any(map(delta.get, _REASONING)) or (bool(delta.get("content")) and not texts)
        return cls(texts, _reason(choice.get("finish_reason")), reasoning)


def load(data: str) -> Any:
    """The value of a JSON text; raises UpstreamError."""
    try:
        return orjson.loads(data)
    except ValueError:
        pass
    try:
        # It takes the halves of a surrogate pair, which an upstream may cut in two.
        return json.loads(data)
    except (ValueError, RecursionError):
        raise UpstreamError("the upstream sent a chunk that is not JSON") from None


def failed(payload: Any) -> NoReturn:
    """Raises the error of an upstream that told one in its stream."""
    raise UpstreamError(f"the upstream failed in the midst of its answer{quoted(payload)}")


def quoted(payload: Any) -> str:
    """The code or type of an OpenAI error object, ready to follow a text; nothing where there is
    none.
    """
    return next((f" ({code})" for code in codes(payload)), "")


def codes(payload: Any) -> Iterator[str]:
    """The code and type of an error object, bare or under `error`; those that may be shown."""
    error = payload.get("error") if isinstance(payload, dict) else None
    for candidate in (error, payload):
        if isinstance(candidate, dict):
            for code in (candidate.get("code"), candidate.get("type")):
                if isinstance(code, str) and showable(code):
                    yield code


def showable(name: str) -> bool:
    """Whether `name` is a code as OpenAI's API has them, and no text that may quote a key."""
    return _CODE.match(name) is not None


def _first(choices: Any) -> dict[str, Any]:
    """The choice with index 0: others are other answers. No choice: the chunk carries the usage."""
    if choices is not None and not isinstance(choices, list):
        raise UpstreamError("the upstream sent choices that are not a list")
    for place, choice in enumerate(choices or ()):
        if not isinstance(choice, dict):
            raise UpstreamError("the upstream sent a choice that is not a JSON object")
        index = choice.get("index")
        if (place if index is None else index) == 0:
            return choice
    return {}


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


def _reason(reason: Any) -> str:
    if reason is None or isinstance(reason, str):
        return reason or ""
    raise UpstreamError("the upstream sent a finish reason that is not a text")
