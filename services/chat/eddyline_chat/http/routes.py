"""HTTP in, HTTP out: the lesson's three ways to get an answer."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Depends, Query, Request, Response

from eddyline.auth.authenticator import Principal
from eddyline.service.app import Context
from eddyline.telemetry.metrics import StreamMetrics
from eddyline_chat.http import message
from eddyline_chat.http.answer import AnswerResponse, EventStream, Form, PlainText, Whole
from eddyline_chat.http.message import ChatRequest
from eddyline_chat.settings import ChatSettings
from eddyline_chat.upstreams.base import Upstream, Upstreams

_NOTE = "`X-Chat-Upstream: demo (simulated)` says that no model was asked. "
_CUT = "An answer that is not whole "

#: For the document: the routes read their bodies themselves, with a bound.
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": ChatRequest.model_json_schema()}},
    }
}


def router(
    context: Context, settings: ChatSettings, upstreams: Callable[[], Upstreams]
) -> APIRouter:
    """`upstreams` is asked with each request: what it gives exists only while the service runs."""
    routes = APIRouter()
    metrics = StreamMetrics("chat", "pull")
    limit = settings.message_limit

    async def allowed(
        principal: Principal = Depends(context.authenticator.principal),
    ) -> Principal:
        principal.require("chat", "complete")
        return principal

    def answer(
        request: Request, principal: Principal, upstream: Upstream, text: str, form: Form
    ) -> Response:
        permit = context.limits.for_request(request, principal)
        stream = context.stream(metrics, permit, principal.expires)
        tokens = upstream.complete(message.question(text))
        return AnswerResponse(tokens, form, stream, upstreams().label)

    @routes.post(
        "/chat",
        response_class=Response,
        responses=_content("text/plain", {"type": "string"}),
        description=f"The answer as text, word by word. {_NOTE}{_CUT}ends as a broken connection.",
    )
    async def chat(
        request: Request,
        prompt: str = Query(description="what to answer"),
        principal: Principal = Depends(allowed),
    ) -> Response:
        text = message.checked("prompt", prompt, limit)
        return answer(request, principal, upstreams().words, text, PlainText())

    @routes.post(
        "/chat/stream",
        response_class=Response,
        openapi_extra=_BODY,
        responses=_content("text/event-stream", {"type": "string"}),
        description=(
            'Events: `{"token": ...}` for each token, then `{"done": true}`. '
            f'{_NOTE}{_CUT}ends with `event: error` and `{{"error": ...}}`, without `done`.'
        ),
    )
    async def stream(request: Request, principal: Principal = Depends(allowed)) -> Response:
        text = await message.read(request, limit)
        return answer(request, principal, upstreams().tokens, text, EventStream())

    @routes.post(
        "/chat/sync",
        response_class=Response,
        openapi_extra=_BODY,
        responses=_content(
            "application/json",
            {"type": "object", "properties": {"response": {"type": "string"}}},
        ),
        description=f"The answer when all of it is there. {_NOTE}{_CUT}is an error.",
    )
    async def sync(request: Request, principal: Principal = Depends(allowed)) -> Response:
        text = await message.read(request, limit)
        return answer(request, principal, upstreams().whole, text, Whole())

    return routes


def _content(media_type: str, schema: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {200: {"description": "The answer", "content": {media_type: {"schema": schema}}}}
