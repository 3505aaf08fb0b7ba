"""The body of a request of OpenAI's API: checked where we read it, and passed on as it is."""

from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import Request

from eddyline.errors import BadRequest, NotFound
from eddyline.service.body import at_most, read_body


class ModelNotFound(NotFound):
    """OpenAI's word for a model that there is none of."""

    code = "model_not_found"

    def __init__(self, asked: str, model: str) -> None:
        super().__init__(f"model={asked[:100]!r}: the model here is {model!r}")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a chat completion, and its bytes. `usage`: the client wants the chunk that
    holds it.
    """

    raw: bytes
    body: dict[str, Any]
    stream: bool
    usage: bool


async def read(request: Request, limit: int, model: str) -> Asked:
    """`limit`: bytes. `model`: the one that there is.

    Raises BadRequest, TooLarge and ModelNotFound.
    """
    raw, body = await json_object(request, limit)
    stream = body.get("stream") or False
    if not isinstance(stream, bool):
        raise BadRequest(f"stream={stream!r}: expected true or false")
    _check_messages(body)
    check_model(body, model)
    options = body.get("stream_options") or {}
    if not isinstance(options, dict) or (options and not stream):
        raise BadRequest("stream_options: expected an object, and only beside stream=true")
    return Asked(raw, {**body, "stream": stream}, stream, bool(options.get("include_usage")))


async def json_object(request: Request, limit: int) -> tuple[bytes, dict[str, Any]]:
    """The bytes of a body, at most `limit` of them, and the object that they are.

    Raises BadRequest and TooLarge.
    """
    raw = await read_body(request, at_most(limit, f"the body has more than {limit} bytes"))
    try:
        body = orjson.loads(raw)
    except ValueError as error:
        raise BadRequest(f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise BadRequest("the body is not a JSON object")
    return raw, body


def _check_messages(body: dict[str, Any]) -> None:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages: expected a list of one message or more")
    for place, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise BadRequest(f"messages.{place}: expected an object with a role")


def check_model(body: dict[str, Any], model: str) -> None:
    """Raises BadRequest or ModelNotFound unless the body asks for the model that there is."""
    asked = body.get("model")
    if not isinstance(asked, str) or not asked:
        raise BadRequest(f"model: expected the name of a model, such as {model!r}")
    if asked != model:
        raise ModelNotFound(asked, model)
