"""OpenAI's Responses events of an answer, made of its chunks: the same ones at each replay.

"Streaming events" in OpenAI's API reference has the events, and the order in which they come.
"""

from collections.abc import Iterator
from typing import Any

Event = dict[str, Any]

#: Finish reasons of answers that are a part, in the words of `incomplete_details`.
_INCOMPLETE = {
    "length": "max_output_tokens",
    "max_tokens": "max_output_tokens",
    "model_length": "max_output_tokens",
    "content_filter": "content_filter",
}


class ResponseEvents:
    """Feed it the records of a log, in order. `response` is the object as far as it is known."""

    def __init__(self, id: str) -> None:
        self.response: Event = {"id": id, "object": "response", "status": "queued"}
        self._next = 0
        self._finish = ""
        self._usage: Event | None = None
        self._error: Event | None = None
        #: The open items: the message, and each call of a tool by its index.
        self._message: Event | None = None
        self._calls: dict[int, Event] = {}

    def record(self, value: Event) -> Iterator[Event]:
        """The events of a record: of a chunk, or of an error."""
        if "error" in value:
            self._error = value["error"]
            return
        if (asked := value.get("response")) is not None:
            yield from self._begin(value, asked)
        if value.get("usage"):
            self._usage = value["usage"]
        for choice in value.get("choices") or ():
            if choice.get("index", 0) == 0:
                yield from self._delta(choice.get("delta") or {})
                self._finish = choice.get("finish_reason") or self._finish

    def end(self, reason: str) -> Iterator[Event]:
        """The last events of an answer that has ended for `reason`."""
        yield from self._close_items()
        self.response["usage"] = _usage(self._usage)
        if reason == "complete" and self._finish in _INCOMPLETE:
            status = "incomplete"
            self.response["incomplete_details"] = {"reason": _INCOMPLETE[self._finish]}
        elif reason == "complete":
            status = "completed"
        else:
            status = "cancelled" if reason == "cancelled" else "failed"
            told = (self._error or {}).get("message", "the answer failed")
            self.response["error"] = {"code": "server_error", "message": told}
        self.response["status"] = status
        kind = "failed" if status == "cancelled" else status
        yield self._event(f"response.{kind}", response=dict(self.response))

    def _begin(self, value: Event, asked: Event) -> Iterator[Event]:
        self.response |= {
            "created_at": value["created"],
            "model": value["model"],
            "status": "in_progress",
            "output": [],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "temperature": None,
            "top_p": None,
            "error": None,
            "incomplete_details": None,
            "usage": None,
            **asked,
        }
        for kind in ("created", "in_progress"):
            yield self._event(f"response.{kind}", response={**self.response, "output": []})

    def _delta(self, delta: Event) -> Iterator[Event]:
        for name, kind in (("content", "output_text"), ("refusal", "refusal")):
            text = delta.get(name)
            if isinstance(text, str) and text:
                yield from self._text(kind, text)
        for call in delta.get("tool_calls") or ():
            yield from self._call(call)

    def _text(self, kind: str, text: str) -> Iterator[Event]:
        if self._message is None:
            item = {"id": f"msg_{self.response['id']}", "type": "message", "role": "assistant"}
            self._message = {**item, "status": "in_progress", "content": []}
            yield from self._added(self._message)
        parts = self._message["content"]
        if not parts or parts[-1]["type"] != kind:
            parts.append(_part(kind))
            yield self._event("response.content_part.added", **self._place(), part=_part(kind))
        field = "text" if kind == "output_text" else "refusal"
        parts[-1][field] += text
        more: Event = {"logprobs": []} if kind == "output_text" else {}
        yield self._event(f"response.{kind}.delta", **self._place(), delta=text, **more)

    def _call(self, call: Event) -> Iterator[Event]:
        index, function = call.get("index", 0), call.get("function") or {}
        item = self._calls.get(index)
        if item is None:
            id = f"fc_{index}_{self.response['id']}"
            item = {"id": id, "type": "function_call", "status": "in_progress", "arguments": ""}
            item |= {"call_id": call.get("id") or id, "name": function.get("name") or ""}
            self._calls[index] = item
            yield from self._added(item)
        if arguments := function.get("arguments"):
            item["arguments"] += arguments
            place = {"item_id": item["id"], "output_index": self._index(item)}
            yield self._event("response.function_call_arguments.delta", **place, delta=arguments)

    def _close_items(self) -> Iterator[Event]:
        message = self._message
        for number, part in enumerate(message["content"] if message else ()):
            where = {**self._place(), "content_index": number}
            kind = part["type"]
            field = "text" if kind == "output_text" else "refusal"
            more: Event = {"logprobs": []} if kind == "output_text" else {}
            yield self._event(f"response.{kind}.done", **where, **{field: part[field]}, **more)
            yield self._event("response.content_part.done", **where, part=dict(part))
        for item in self._calls.values():
            place = {"item_id": item["id"], "output_index": self._index(item)}
            done = {"arguments": item["arguments"], "name": item["name"]}
            yield self._event("response.function_call_arguments.done", **place, **done)
        for item in self.response.get("output", ()):
            item["status"] = "completed"
            done = {"output_index": self._index(item), "item": dict(item)}
            yield self._event("response.output_item.done", **done)

    def _added(self, item: Event) -> Iterator[Event]:
        self.response["output"].append(item)
        shown = {**item, "content": []} if "content" in item else dict(item)
        yield self._event("response.output_item.added", output_index=self._index(item), item=shown)

    def _place(self) -> Event:
        assert self._message is not None
        content = max(0, len(self._message["content"]) - 1)
        place = {"item_id": self._message["id"], "output_index": self._index(self._message)}
        return {**place, "content_index": content}

    def _index(self, item: Event) -> int:
        return next(n for n, each in enumerate(self.response["output"]) if each is item)

    def _event(self, kind: str, **fields: Any) -> Event:
        number, self._next = self._next, self._next + 1
        return {"type": kind, "sequence_number": number, **fields}


def _part(kind: str) -> Event:
    if kind == "refusal":
        return {"type": kind, "refusal": ""}
    return {"type": kind, "text": "", "annotations": [], "logprobs": []}


def _usage(usage: Event | None) -> Event | None:
    """The usage of a chat completion, in the words of a response."""
    if usage is None:
        return None
    read, made = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    thought = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    return {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": usage.get("total_tokens") or read + made,
    }
