"""One chunk of an OpenAI stream: the text that it adds to the answer, and whether it ends it."""

import re
from dataclasses import dataclass
from typing import Any, Self

import orjson

from eddyline.errors import UpstreamError

#: Reasons that a server gives for an answer that it has not brought to its end.
_CUT_SHORT = frozenset(("length", "content_filter"))

#: The only part of an upstream's error that may be shown: its texts can quote parts of the key.
_CODE = re.compile(r"[a-z_]{1,64}\Z")


@dataclass(frozen=True, slots=True)
class Delta:
    """`text` is empty in chunks that carry a role, usage or reasoning only."""

    text: str
    finished: bool

    @classmethod
    def parse(cls, data: str) -> Self:
        """Raises UpstreamError for an error object, an answer that was cut short, and data that is
        no chunk.
        """
        try:
            chunk = orjson.loads(data)
        except ValueError:
            raise UpstreamError("the upstream sent a chunk that is not JSON") from None
        if not isinstance(chunk, dict):
            raise UpstreamError("the upstream sent a chunk that is not a JSON object")
        if chunk.get("error"):
            raise UpstreamError(f"the upstream failed in the midst of its answer{quoted(chunk)}")
        return cls._of_choice(_first(chunk.get("choices")))

    @classmethod
    def _of_choice(cls, choice: dict[str, Any]) -> Self:
        reason = choice.get("finish_reason")
        if reason in _CUT_SHORT:
            raise UpstreamError(f"the upstream cut its answer short: {reason}")
        delta = choice.get("delta")
        text = delta.get("content") if isinstance(delta, dict) else None
        return cls(text if isinstance(text, str) else "", bool(reason))


def quoted(payload: Any) -> str:
    """The code or type of an OpenAI error object, ready to follow a text; nothing where there is
    none.
    """
    error = payload.get("error") if isinstance(payload, dict) else None
    if isinstance(error, dict):
        for code in (error.get("code"), error.get("type")):
            if isinstance(code, str) and _CODE.match(code):
                return f" ({code})"
    return ""


def _first(choices: Any) -> dict[str, Any]:
    # No choices: the chunk that carries the usage.
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        return choices[0]
    return {}
