"""HTTP of the chat service: the lesson's three ways to get an answer."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from eddyline.auth.principal import Principal
from eddyline.service.access import Caller
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


def _content(media_type: str, schema: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {200: {"description": "The answer", "content": {media_type: {"schema": schema}}}}


_TEXT: dict[str, Any] = {
    "response_class": Response,
    "responses": _content("text/plain", {"type": "string"}),
    "description": f"The answer as text, word by word. {_NOTE}{_CUT}ends as a broken connection.",
}
_EVENTS: dict[str, Any] = {
    "response_class": Response,
    "openapi_extra": _BODY,
    "responses": _content("text/event-stream", {"type": "string"}),
    "description": (
        'Events: `{"token": ...}` for each token, then `{"done": true}`. '
        f'{_NOTE}{_CUT}ends with `event: error` and `{{"error": ...}}`, without `done`.'
    ),
}
_WHOLE: dict[str, Any] = {
    "response_class": Response,
    "openapi_extra": _BODY,
    "responses": _content(
        "application/json", {"type": "object", "properties": {"response": {"type": "string"}}}
    ),
    "description": f"The answer when all of it is there. {_NOTE}{_CUT}is an error.",
}


async def allowed(caller: Caller) -> Principal:
    """The caller, if it may ask for answers; raises Forbidden."""
    caller.require("chat", "complete")
    return caller


AllowedCaller = Annotated[Principal, Depends(allowed)]


class ChatApi:
    """The routes of the service; each public method but `routes` is an endpoint."""

    #: Set by the lifespan of the service: there are upstreams only while it runs.
    upstreams: Upstreams

    def __init__(self, context: Context, settings: ChatSettings) -> None:
        self._context = context
        self._limit = settings.message_limit
        self._pulls = StreamMetrics("chat", "pull")

    def routes(self) -> APIRouter:
        routes = APIRouter()
        routes.add_api_route("/chat", self.chat, methods=["POST"], **_TEXT)
        routes.add_api_route("/chat/stream", self.chat_stream, methods=["POST"], **_EVENTS)
        routes.add_api_route("/chat/sync", self.chat_sync, methods=["POST"], **_WHOLE)
        return routes

    async def chat(
        self,
        request: Request,
        caller: AllowedCaller,
        prompt: Annotated[str, Query(description="what to answer")],
    ) -> Response:
        text = message.checked("prompt", prompt, self._limit)
        return self._answer(request, caller, self.upstreams.words, text, PlainText())

    async def chat_stream(self, request: Request, caller: AllowedCaller) -> Response:
        text = await message.read(request, self._limit)
        return self._answer(request, caller, self.upstreams.tokens, text, EventStream())

    async def chat_sync(self, request: Request, caller: AllowedCaller) -> Response:
        text = await message.read(request, self._limit)
        return self._answer(request, caller, self.upstreams.whole, text, Whole())

    def _answer(
        self, request: Request, caller: Principal, upstream: Upstream, text: str, form: Form
    ) -> Response:
        with self._context.limits.for_request(request, caller) as permit:
            stream = self._context.stream(self._pulls, permit, caller.expires)
            tokens = upstream.complete(message.question(text))
            return AnswerResponse(tokens, form, stream, self.upstreams.label)
