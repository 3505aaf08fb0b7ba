"""The AI SDK's UI message stream of an answer, made of its chunks: the same one at each replay.

https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol ("Data stream protocol") has the parts.
"""

from typing import Any

import orjson

#: The SDK's words for finish reasons.
_FINISH = {
    "stop": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool-calls",
    "function_call": "tool-calls",
    "content_filter": "content-filter",
}

Part = dict[str, Any]


class UiMessageStream:
    """A `Translation` of one answer. Text and reasoning are blocks, of which one is open."""

    def __init__(self, id: str) -> None:
        self._id = id
        self._begun = False
        self._block = ""
        self._blocks = 0
        self._calls: dict[int, Part] = {}
        self._finish = "other"
        self._error: str | None = None

    def record(self, value: Part) -> bytes:
        if "error" in value:
            self._error = value["error"]["message"]
            return b""
        parts = self._begin()
        for choice in value.get("choices") or ():
            if choice.get("index", 0) == 0:
                parts += self._delta(choice.get("delta") or {})
                self._finish = _FINISH.get(choice.get("finish_reason") or "", self._finish)
        return b"".join(map(_frame, parts))

    def end(self, reason: str) -> bytes:
        parts = [*self._begin(), *self._close()]
        for call in self._calls.values():
            parts.append(_call_of(call))
        if reason == "cancelled":
            parts.append({"type": "abort"})
        elif reason != "complete":
            parts.append({"type": "error", "errorText": self._error or "the answer failed"})
        else:
            finish = {"type": "finish", "finishReason": self._finish}
            parts += [{"type": "finish-step"}, finish]
        return b"".join(map(_frame, parts)) + b"data: [DONE]\n\n"

    def _begin(self) -> list[Part]:
        if self._begun:
            return []
        self._begun = True
        return [{"type": "start", "messageId": self._id}, {"type": "start-step"}]

    def _delta(self, delta: Part) -> list[Part]:
        parts: list[Part] = []
        for names, block in (
            (("reasoning_content", "reasoning"), "reasoning"),
            (("content", "refusal"), "text"),
        ):
            for name in names:
                text = delta.get(name)
                if isinstance(text, str) and text:
                    parts += self._open(block)
                    parts.append({"type": f"{block}-delta", "id": self._block_id(), "delta": text})
        for call in delta.get("tool_calls") or ():
            parts += self._call(call)
        return parts

    def _open(self, block: str) -> list[Part]:
        if self._block == block:
            return []
        closed = self._close()
        self._block, self._blocks = block, self._blocks + 1
        return [*closed, {"type": f"{block}-start", "id": self._block_id()}]

    def _close(self) -> list[Part]:
        block, id = self._block, self._block_id()
        self._block = ""
        return [{"type": f"{block}-end", "id": id}] if block else []

    def _block_id(self) -> str:
        return f"{self._id}-{self._blocks}"

    def _call(self, call: Part) -> list[Part]:
        index, function = call.get("index", 0), call.get("function") or {}
        parts = self._close()
        if index not in self._calls:
            id = call.get("id") or f"{self._id}-call-{index}"
            self._calls[index] = {"id": id, "name": function.get("name") or "", "input": ""}
            start = {"type": "tool-input-start", "toolCallId": id}
            parts.append({**start, "toolName": self._calls[index]["name"]})
        if arguments := function.get("arguments"):
            known = self._calls[index]
            known["input"] += arguments
            delta = {"type": "tool-input-delta", "toolCallId": known["id"]}
            parts.append({**delta, "inputTextDelta": arguments})
        return parts


def _call_of(call: Part) -> Part:
    common = {"toolCallId": call["id"], "toolName": call["name"]}
    try:
        value = orjson.loads(call["input"] or "{}")
    except ValueError:
        text = "the arguments of the call are not JSON"
        return {"type": "tool-input-error", **common, "input": call["input"], "errorText": text}
    return {"type": "tool-input-available", **common, "input": value}


def _frame(part: Part) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(part)
