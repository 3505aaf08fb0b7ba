"""OpenAI's routes: `POST /v1/chat/completions` and `GET /v1/models`."""

import time

import orjson
from fastapi import APIRouter, Request, Response

from eddyline.service.raw_route import RawRoute
from eddyline_chat.generations.generations import id_of
from eddyline_chat.http.answers import Answers, new_id
from eddyline_chat.http.message import passed_on
from eddyline_chat.openai.chunk import Chunk
from eddyline_chat.settings import ChatSettings
from eddyline_chat.upstreams.base import Question
from eddyline_chat.v1 import request as requests
from eddyline_chat.v1.forms import ChunkStream, Completion
from eddyline_chat.v1.openapi import COMPLETIONS, MODEL, MODELS
from eddyline_chat.v1.request import ModelNotFound


class CompletionsApi:
    """OpenAI's routes; each public method but `routes` is an endpoint."""

    def __init__(self, answers: Answers, settings: ChatSettings) -> None:
        self._answers = answers
        self._limit = settings.request_limit
        self._began = int(time.time())

    def routes(self) -> APIRouter:
        routes = APIRouter(route_class=RawRoute)
        routes.add_api_route(
            "/v1/chat/completions", self.create_chat_completion, methods=["POST"], **COMPLETIONS
        )
        routes.add_api_route("/v1/models", self.list_models, methods=["GET"], **MODELS)
        routes.add_api_route("/v1/models/{model:path}", self.read_model, methods=["GET"], **MODEL)
        return routes

    async def create_chat_completion(self, request: Request) -> Response:
        caller = await self._answers.caller(request)
        upstreams = self._answers.upstreams
        asked = await requests.read(request, self._limit, upstreams.model)
        key = request.headers.get("idempotency-key")
        id = id_of(caller.identity, key, asked.raw) if key else new_id()
        chunks = ChunkStream(upstreams.model, id, usage=asked.usage)
        form = chunks if asked.stream else Completion()
        payload = chunks.payload if asked.stream else _as_it_is
        question = Question(asked.body, passed_on(request))
        return await self._answers.answer(
            request, caller, upstreams.completions, question, form, payload, id
        )

    async def list_models(self, request: Request) -> Response:
        await self._answers.caller(request)
        return json_response({"object": "list", "data": [self._model()]})

    async def read_model(self, request: Request) -> Response:
        await self._answers.caller(request)
        asked = request.path_params["model"]
        if asked != self._answers.upstreams.model:
            raise ModelNotFound(asked, self._answers.upstreams.model)
        return json_response(self._model())

    def _model(self) -> dict[str, object]:
        about = {"id": self._answers.upstreams.model, "object": "model", "created": self._began}
        return {**about, "owned_by": "eddyline"}


def _as_it_is(chunk: Chunk) -> bytes:
    return chunk.data


def json_response(value: object) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")
