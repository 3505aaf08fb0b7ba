"""The body of `useChat`'s requests, as a question for a chat upstream."""

from dataclasses import dataclass
from typing import Any

from fastapi import Request

from eddyline.errors import BadRequest
from eddyline_chat.v1.request import check_model, json_object

#: Parts of a message that are for its reader, and not for the model.
_SHOWN = ("reasoning", "step-start", "source-url", "source-document")


@dataclass(frozen=True, slots=True)
class Asked:
    """`chat`: the id of the conversation. `question`: the body for the upstream."""

    chat: str
    question: dict[str, Any]


async def read(request: Request, limit: int, model: str) -> Asked:
    """Raises BadRequest, TooLarge and ModelNotFound."""
    _, body = await json_object(request, limit)
    chat, messages = body.get("id"), body.get("messages")
    if not isinstance(chat, str) or not chat:
        raise BadRequest("id: expected the id of the conversation, as useChat sends it")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages: expected a list of one message or more")
    body.setdefault("model", model)
    check_model(body, model)
    asked = [_message(message, f"messages.{place}") for place, message in enumerate(messages)]
    if system := body.get("system"):
        asked.insert(0, {"role": "system", "content": system})
    return Asked(chat, {"model": model, "messages": asked, "stream": True})


def _message(message: Any, where: str) -> dict[str, Any]:
    if not isinstance(message, dict) or message.get("role") not in ("system", "user", "assistant"):
        raise BadRequest(f"{where}: expected a message of a system, user or assistant")
    parts = message.get("parts")
    if not isinstance(parts, list):
        raise BadRequest(f"{where}.parts: expected a list")
    content = [made for part in parts if (made := _part(part, where)) is not None]
    if all(part["type"] == "text" for part in content):
        return {"role": message["role"], "content": "".join(part["text"] for part in content)}
    return {"role": message["role"], "content": content}


def _part(part: Any, where: str) -> dict[str, Any] | None:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    if kind == "file" and str(part.get("mediaType")).startswith("image/"):
        return {"type": "image_url", "image_url": {"url": part.get("url")}}
    if isinstance(kind, str) and (kind in _SHOWN or kind.startswith("data-")):
        return None
    raise BadRequest(f"{where}.parts: type={str(kind)[:80]!r} is not supported here")
