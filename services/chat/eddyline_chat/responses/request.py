"""The body of `POST /v1/responses`, as a question for a chat upstream."""

from dataclasses import dataclass
from typing import Any

from fastapi import Request

from eddyline.errors import BadRequest
from eddyline_chat.v1.request import check_model, json_object

#: Fields that both APIs have under one name.
_SAME = (
    "temperature",
    "top_p",
    "user",
    "seed",
    "parallel_tool_calls",
    "service_tier",
    "logit_bias",
)

#: Fields that say nothing to the model.
_OURS = ("model", "input", "instructions", "stream", "background", "metadata", "store", "include")
_MAPPED = ("max_output_tokens", "tools", "tool_choice", "text", "reasoning", "stream_options")
_EMPTY = ("previous_response_id", "conversation", "prompt", "truncation", "max_tool_calls")

_PARTS = {"input_text": "text", "output_text": "text", "text": "text", "refusal": "refusal"}


@dataclass(frozen=True, slots=True)
class Asked:
    """`question`: the body for the upstream. `echoed`: the fields that the response repeats."""

    question: dict[str, Any]
    echoed: dict[str, Any]
    stream: bool
    background: bool


async def read(request: Request, limit: int, model: str) -> Asked:
    """Raises BadRequest for fields that no chat upstream has, TooLarge and ModelNotFound."""
    _, body = await json_object(request, limit)
    check_model(body, model)
    for name, value in body.items():
        if name in _EMPTY and value not in (None, "disabled"):
            raise BadRequest(f"{name}: not supported here: send the whole conversation as input")
        if name not in _SAME + _OURS + _MAPPED + _EMPTY:
            raise BadRequest(f"{name[:80]}: unknown field of a response")
    stream, background = _flag(body, "stream"), _flag(body, "background")
    echoed = {name: body.get(name) for name in ("instructions", "metadata", "max_output_tokens")}
    return Asked(_question(body), {**echoed, "background": background}, stream, background)


def _question(body: dict[str, Any]) -> dict[str, Any]:
    question: dict[str, Any] = {name: body[name] for name in _SAME if body.get(name) is not None}
    question |= {"model": body["model"], "messages": _messages(body), "stream": True}
    if (most := body.get("max_output_tokens")) is not None:
        question["max_completion_tokens"] = most
    if tools := body.get("tools"):
        question["tools"] = [_tool(tool) for tool in _list(tools, "tools")]
    if (choice := body.get("tool_choice")) is not None:
        question["tool_choice"] = choice if isinstance(choice, str) else _named(choice)
    if (kind := (body.get("text") or {}).get("format")) and kind.get("type") != "text":
        question["response_format"] = _format(kind)
    if effort := (body.get("reasoning") or {}).get("effort"):
        question["reasoning_effort"] = effort
    return question


def _messages(body: dict[str, Any]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    if body.get("instructions"):
        messages.append({"role": "system", "content": body["instructions"]})
    given = body.get("input")
    if isinstance(given, str):
        return [*messages, {"role": "user", "content": given}]
    for place, item in enumerate(_list(given, "input")):
        where = f"input.{place}"
        if not isinstance(item, dict):
            raise BadRequest(f"{where}: expected an object")
        messages.append(_message(item, where))
    if not messages:
        raise BadRequest("input: expected a text, or a list of one item or more")
    return messages


def _message(item: dict[str, Any], where: str) -> dict[str, Any]:
    kind = item.get("type", "message")
    if kind == "function_call":
        function = {"name": item.get("name"), "arguments": item.get("arguments")}
        call = {"id": item.get("call_id"), "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    if kind == "function_call_output":
        output = {"tool_call_id": item.get("call_id"), "content": item.get("output")}
        return {"role": "tool", **output}
    if kind != "message" or not isinstance(item.get("role"), str):
        raise BadRequest(
            f"{where}: type={kind!r}: expected a message, or a function's call or output"
        )
    content = item.get("content")
    if not isinstance(content, str):
        content = [_part(part, where) for part in _list(content, f"{where}.content")]
    return {"role": item["role"], "content": content}


def _part(part: Any, where: str) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in _PARTS:
        return {"type": _PARTS[kind], _PARTS[kind]: part.get(_PARTS[kind])}
    if kind == "input_image" and part.get("image_url"):
        return {"type": "image_url", "image_url": {"url": part["image_url"]}}
    raise BadRequest(f"{where}.content: type={str(kind)[:80]!r} is not supported here")


def _tool(tool: Any) -> dict[str, Any]:
    if not isinstance(tool, dict) or tool.get("type") != "function":
        raise BadRequest("tools: only functions are supported here")
    return {"type": "function", "function": {k: v for k, v in tool.items() if k != "type"}}


def _named(choice: Any) -> dict[str, Any]:
    if not isinstance(choice, dict) or choice.get("type") != "function":
        raise BadRequest("tool_choice: expected a word, or a function")
    return {"type": "function", "function": {"name": choice.get("name")}}


def _format(kind: dict[str, Any]) -> dict[str, Any]:
    if kind.get("type") != "json_schema":
        return {"type": kind.get("type")}
    return {"type": "json_schema", "json_schema": {k: v for k, v in kind.items() if k != "type"}}


def _flag(body: dict[str, Any], name: str) -> bool:
    value = body.get(name) or False
    if not isinstance(value, bool):
        raise BadRequest(f"{name}={value!r}: expected true or false")
    return value


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise BadRequest(f"{name}: expected a list")
    return value
