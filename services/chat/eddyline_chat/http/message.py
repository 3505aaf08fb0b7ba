"""What a client says: read with a bound, before anything is asked of the upstream."""

from fastapi import Request
from pydantic import BaseModel, ValidationError

from eddyline.errors import BadRequest, TooLarge
from eddyline_chat.upstreams.base import Message


class ChatRequest(BaseModel):
    """The body of `POST /chat/stream` and `/chat/sync`."""

    message: str


async def read(request: Request, limit: int) -> str:
    """The message of a JSON body; `limit` is in bytes of the message.

    The body is read here and not by FastAPI, which takes a body of any size into memory.
    """
    # JSON writes one byte of UTF-8 as six at most: \u0000.
    body = await _body(request, 6 * limit + 1024)
    try:
        message = ChatRequest.model_validate_json(body).message
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise BadRequest(f'{where}: {first["msg"]}; expected {{"message": "..."}}') from None
    return checked("message", message, limit)


def checked(name: str, text: str, limit: int) -> str:
    """`text`, unless it is empty (BadRequest) or above `limit` bytes (TooLarge)."""
    if not text.strip():
        raise BadRequest(f"{name} is empty: expected a text")
    size = len(text.encode("utf-8", "replace"))
    if size > limit:
        raise TooLarge(f"{name} has {size} bytes: at most {limit} are taken")
    return text


def question(text: str) -> list[Message]:
    return [{"role": "user", "content": text}]


async def _body(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise TooLarge(f"the body has more than {limit} bytes")
    return bytes(body)
