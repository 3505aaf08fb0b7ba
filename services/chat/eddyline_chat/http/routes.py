"""HTTP of the chat service: the lesson's three ways to get an answer."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from eddyline.auth.principal import Principal
from eddyline.service.access import Caller
from eddyline.service.app import Context
from eddyline.telemetry.metrics import StreamMetrics
from eddyline_chat.http import message
from eddyline_chat.http.answer import Answer, Pace
from eddyline_chat.http.forms import EventStream, Form, PlainText, Whole
from eddyline_chat.http.openapi import EVENTS, TEXT, WHOLE
from eddyline_chat.settings import ChatSettings
from eddyline_chat.upstreams.base import Message, Question, Upstream, Upstreams


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
        self._most = settings.request_limit
        self._pace = Pace(settings.head_after, settings.heartbeat)
        self._pulls = StreamMetrics("chat", "pull")

    def routes(self) -> APIRouter:
        routes = APIRouter()
        routes.add_api_route("/chat", self.chat, methods=["POST"], **TEXT)
        routes.add_api_route("/chat/stream", self.chat_stream, methods=["POST"], **EVENTS)
        routes.add_api_route("/chat/sync", self.chat_sync, methods=["POST"], **WHOLE)
        return routes

    async def chat(
        self,
        request: Request,
        caller: AllowedCaller,
        prompt: Annotated[str, Query(description="the text to answer")],
    ) -> Response:
        text = message.checked("prompt", prompt, self._limit)
        messages: list[Message] = [{"role": "user", "content": text}]
        return await self._answer(request, caller, self.upstreams.words, messages, PlainText())

    async def chat_stream(self, request: Request, caller: AllowedCaller) -> Response:
        messages = await message.read(request, self._limit, self._most)
        return await self._answer(request, caller, self.upstreams.tokens, messages, EventStream())

    async def chat_sync(self, request: Request, caller: AllowedCaller) -> Response:
        messages = await message.read(request, self._limit, self._most)
        return await self._answer(request, caller, self.upstreams.whole, messages, Whole())

    async def _answer(
        self,
        request: Request,
        caller: Principal,
        upstream: Upstream,
        messages: list[Message],
        form: Form,
    ) -> Response:
        # nosniff: no browser may take the echo of a prompt for HTML.
        headers = {"X-Chat-Upstream": self.upstreams.label, "X-Content-Type-Options": "nosniff"}
        question = Question({"messages": messages}, message.passed_on(request))
        with self._context.limits.for_request(request, caller) as permit:
            context = self._context.stream(self._pulls, permit, caller.expires)
            answer = Answer(form, context, self._pace)
            return await answer.response(request, upstream, question, headers)
