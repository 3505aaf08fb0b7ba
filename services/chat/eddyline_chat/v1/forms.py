"""Answers on OpenAI's wire: its chunks as the upstream wrote them."""

import json
import time
from typing import Any

import orjson

from eddyline.errors import StreamingError, UpstreamError
from eddyline.wire import sse
from eddyline_chat.openai.chunk import Chunk
from eddyline_chat.v1.errors import code_of, error_object

#: A comment without an empty line after it. `: ping` and an empty line is an event without data to
#: openai-python, and an exception to its users, once an id has been sent (openai-python#2722).
_PING = b": ping\n"

_DONE = b"data: [DONE]\n\n"


class ChunkStream:
    """Server-sent events, one for each chunk. A chunk is changed only where OpenAI's schema asks
    for a field that it lacks: some clients fail without it.

    `usage`: whether the client has asked for the chunk that holds the usage alone.
    """

    media_type = sse.EVENT_STREAM
    heartbeat = _PING

    def __init__(self, model: str, id: str, *, usage: bool) -> None:
        self._usage = usage
        self._common = {
            "id": id,
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
        }

    def chunk(self, chunk: Chunk) -> bytes:
        value = chunk.value
        if not self._usage and not value.get("choices") and value.get("usage"):
            return b""
        return b"data: %b\n\n" % self.payload(chunk)

    def payload(self, chunk: Chunk) -> bytes:
        """The data of the event for a chunk: its JSON in one line."""
        value, data = chunk.value, chunk.data
        if not self._is_complete(value, value.get("choices")) or b"\n" in data:
            return self._completed(value)
        return data

    def end(self) -> bytes:
        return _DONE

    def failure(self, error: StreamingError) -> bytes | None:
        told = error_object(error.status, error.detail, code_of(error))
        return b"data: %b\n\n" % orjson.dumps(told) + _DONE

    def _is_complete(self, value: dict[str, Any], choices: Any) -> bool:
        if choices is None or not all(name in value for name in self._common):
            return False
        for choice in choices:
            if "index" not in choice or "finish_reason" not in choice or "delta" not in choice:
                return False
        return True

    def _completed(self, value: dict[str, Any]) -> bytes:
        value = {**self._common, **value}
        value["choices"] = [
            {"index": place, "delta": {}, "finish_reason": None, **choice}
            for place, choice in enumerate(value.get("choices") or ())
        ]
        try:
            return orjson.dumps(value)
        except TypeError:  # half of a surrogate pair
            return json.dumps(value).encode()


class Completion:
    """The one object of an answer in one piece, as the upstream wrote it."""

    media_type = "application/json"
    heartbeat = None

    def __init__(self) -> None:
        self._data = b""

    def chunk(self, chunk: Chunk) -> bytes:
        self._data = chunk.data
        return b""

    def end(self) -> bytes:
        if not self._data:
            raise UpstreamError("the upstream's answer is empty")
        return self._data

    def failure(self, error: StreamingError) -> bytes | None:
        return None
