"""The message of a client: read within a bound, before the upstream is asked."""

from fastapi import Request
from pydantic import BaseModel, ValidationError

from eddyline.errors import BadRequest, TooLarge
from eddyline.service.body import at_most, read_body
from eddyline_chat.upstreams.base import Question


class ChatRequest(BaseModel):
    """The body of `POST /chat/stream` and `/chat/sync`."""

    message: str


async def read(request: Request, limit: int) -> str:
    """The message of a JSON body; `limit` is in bytes of the message."""
    # JSON writes one byte of UTF-8 as six at most: \u0000.
    most = 6 * limit + 1024
    body = await read_body(request, at_most(most, f"the body has more than {most} bytes"))
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


def question(text: str, headers: dict[str, str]) -> Question:
    return Question({"messages": [{"role": "user", "content": text}]}, headers)


def passed_on(request: Request) -> dict[str, str]:
    """The headers by which an upstream's logs and traces find the request."""
    headers = {"X-Request-Id": request.scope.get("request_id", "")}
    if trace := request.headers.get("traceparent"):
        headers["traceparent"] = trace
    return {name: value for name, value in headers.items() if value}
