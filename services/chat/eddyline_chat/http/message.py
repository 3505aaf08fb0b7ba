"""The question of a client: read within a bound, before the upstream is asked."""

from typing import Literal

from fastapi import Request
from pydantic import BaseModel, ValidationError

from eddyline.errors import BadRequest, TooLarge
from eddyline.service.body import at_most, read_body
from eddyline_chat.upstreams.base import Message


class Turn(BaseModel):
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class ChatRequest(BaseModel):
    """The body of `POST /chat/stream` and `/chat/sync`: a message, after those of the conversation
    so far. `system` comes before all of them.
    """

    message: str | None = None
    messages: list[Turn] = []
    system: str | None = None


async def read(request: Request, limit: int, most: int) -> list[Message]:
    """The messages of a JSON body. `limit`: bytes of each message; `most`: of the body."""
    body = await read_body(request, at_most(most, f"the body has more than {most} bytes"))
    try:
        asked = ChatRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise BadRequest(f'{where}: {first["msg"]}; expected {{"message": "..."}}') from None
    if asked.message is None and not asked.messages:
        raise BadRequest('message: Field required; expected {"message": "..."}')
    turns = [(f"messages.{n}", turn.role, turn.content) for n, turn in enumerate(asked.messages)]
    if asked.system is not None:
        turns.insert(0, ("system", "system", asked.system))
    if asked.message is not None:
        turns.append(("message", "user", asked.message))
    return [{"role": role, "content": checked(name, text, limit)} for name, role, text in turns]


def checked(name: str, text: str, limit: int) -> str:
    """`text`, unless it is empty (BadRequest) or above `limit` bytes (TooLarge)."""
    if not text.strip():
        raise BadRequest(f"{name} is empty: expected a text")
    size = len(text.encode("utf-8", "replace"))
    if size > limit:
        raise TooLarge(f"{name} has {size} bytes: at most {limit} are taken")
    return text


def passed_on(request: Request) -> dict[str, str]:
    """The headers by which an upstream's logs and traces find the request."""
    headers = {"X-Request-Id": request.scope.get("request_id", "")}
    if trace := request.headers.get("traceparent"):
        headers["traceparent"] = trace
    return {name: value for name, value in headers.items() if value}
