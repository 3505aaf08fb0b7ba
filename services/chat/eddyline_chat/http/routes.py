"""HTTP of the chat service: the lesson's three ways to get an answer."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from eddyline.auth.principal import Principal
from eddyline.service.access import Caller
from eddyline_chat.http import message
from eddyline_chat.http.answers import Answers, new_id
from eddyline_chat.http.forms import EventStream, Form, PlainText, Whole
from eddyline_chat.http.openapi import EVENTS, TEXT, WHOLE
from eddyline_chat.settings import ChatSettings
from eddyline_chat.upstreams.base import Message, Question, Upstream
from eddyline_chat.v1.forms import ChunkStream


async def allowed(caller: Caller) -> Principal:
    """The caller, if it may ask for answers; raises Forbidden."""
    caller.require("chat", "complete")
    return caller


AllowedCaller = Annotated[Principal, Depends(allowed)]


class ChatApi:
    """The routes of the service; each public method but `routes` is an endpoint."""

    def __init__(self, answers: Answers, settings: ChatSettings) -> None:
        self._answers = answers
        self._limit = settings.message_limit
        self._most = settings.request_limit

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
        return await self._answer(
            request, caller, self._answers.upstreams.words, messages, PlainText()
        )

    async def chat_stream(self, request: Request, caller: AllowedCaller) -> Response:
        messages = await message.read(request, self._limit, self._most)
        return await self._answer(
            request, caller, self._answers.upstreams.tokens, messages, EventStream()
        )

    async def chat_sync(self, request: Request, caller: AllowedCaller) -> Response:
        messages = await message.read(request, self._limit, self._most)
        return await self._answer(request, caller, self._answers.upstreams.whole, messages, Whole())

    async def _answer(
        self,
        request: Request,
        caller: Principal,
        upstream: Upstream,
        messages: list[Message],
        form: Form,
    ) -> Response:
        question = Question({"messages": messages}, message.passed_on(request))
        chunks = ChunkStream(self._answers.upstreams.model, id := new_id(), usage=True)
        return await self._answers.answer(
            request, caller, upstream, question, form, chunks.payload, id
        )
