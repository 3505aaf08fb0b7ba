"""One chunk of an OpenAI stream: whether it tells a fault, and its choices.

The fields are those of "The chat completion chunk object" in OpenAI's API reference.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import orjson

from eddyline.errors import UpstreamError

#: The only part of an upstream's texts that may be shown: the others can quote parts of the key.
_CODE = re.compile(r"[a-z_]{1,64}\Z")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of an answer: a "chat completion chunk", or, where the answer was asked for in one
    piece, a "chat completion".

    `data` is its JSON as the upstream wrote it, `value` the object.
    """

    data: bytes
    value: dict[str, Any]


def parse(data: bytes) -> Chunk:
    """Raises UpstreamError for an error object, and for data that is no chunk."""
    try:
        value = orjson.loads(data)
    except ValueError:
        data = data.decode("utf-8", "replace").encode()
        value = load(data)
    if not isinstance(value, dict):
        raise UpstreamError("the upstream sent a chunk that is not a JSON object")
    if value.get("error") or value.get("object") == "error":
        failed(value)
    if "choices" not in value and not value.get("usage"):
        failed(value)
    return Chunk(data, value)


def choices(chunk: Chunk) -> Iterator[tuple[int, dict[str, Any]]]:
    """The choices of a chunk, each with its index. A chunk without any carries the usage."""
    found = chunk.value.get("choices")
    if found is not None and not isinstance(found, list):
        raise UpstreamError("the upstream sent choices that are not a list")
    for place, choice in enumerate(found or ()):
        if not isinstance(choice, dict):
            raise UpstreamError("the upstream sent a choice that is not a JSON object")
        if choice.get("error"):
            failed(choice)
        index = choice.get("index")
        yield (place if index is None else index), choice


def delta(choice: dict[str, Any]) -> dict[str, Any]:
    """The part of a choice: its delta, or its message, where the answer comes in one piece."""
    found = choice.get("delta") or choice.get("message") or {}
    if not isinstance(found, dict):
        raise UpstreamError("the upstream sent a delta that is not a JSON object")
    return found


def reason(choice: dict[str, Any]) -> str:
    """The finish reason of a choice; empty until it ends."""
    found = choice.get("finish_reason")
    if found is None or isinstance(found, str):
        return found or ""
    raise UpstreamError("the upstream sent a finish reason that is not a text")


def load(data: bytes) -> Any:
    """The value of a JSON text; raises UpstreamError."""
    try:
        return orjson.loads(data)
    except ValueError:
        pass
    try:
        # It takes the halves of a surrogate pair, which an upstream may cut in two.
        return json.loads(data.decode("utf-8", "replace"))
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


def written(value: dict[str, Any]) -> Chunk:
    """A chunk of our own."""
    return Chunk(orjson.dumps(value), value)


def completion_of(text: str) -> dict[str, Any]:
    """The choices of a "chat completion" of one text."""
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return {"choices": [choice]}
