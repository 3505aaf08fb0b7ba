"""OpenAI's routes: `POST /v1/chat/completions` and `GET /v1/models`."""

import time
import uuid

import orjson
from fastapi import APIRouter, Request, Response

from eddyline.auth.principal import Principal
from eddyline.errors import BadRequest
from eddyline.service.app import Context
from eddyline.service.raw_route import RawRoute
from eddyline.telemetry.metrics import StreamMetrics
from eddyline_chat.http.answer import Answer, Pace
from eddyline_chat.http.message import passed_on
from eddyline_chat.settings import ChatSettings
from eddyline_chat.upstreams.base import Question, Upstreams
from eddyline_chat.v1 import request as requests
from eddyline_chat.v1.forms import ChunkStream, Completion
from eddyline_chat.v1.openapi import COMPLETIONS, MODEL, MODELS
from eddyline_chat.v1.request import ModelNotFound


class CompletionsApi:
    """OpenAI's routes; each public method but `routes` is an endpoint."""

    #: Set by the lifespan of the service.
    upstreams: Upstreams

    def __init__(self, context: Context, settings: ChatSettings) -> None:
        self._context = context
        self._limit = settings.request_limit
        self._pace = Pace(settings.head_after, settings.heartbeat)
        self._pulls = StreamMetrics("chat", "pull")
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
        caller = await self._caller(request)
        asked = await requests.read(request, self._limit, self.upstreams.model)
        question = Question(asked.body, passed_on(request))
        with self._context.limits.for_request(request, caller) as permit:
            context = self._context.stream(self._pulls, permit, caller.expires)
            id = f"chatcmpl-{uuid.uuid4().hex}"
            model = self.upstreams.model
            form = ChunkStream(model, id, usage=asked.usage) if asked.stream else Completion()
            answer = Answer(form, context, self._pace)
            headers = {"X-Chat-Upstream": self.upstreams.label}
            return await answer.response(request, self.upstreams.completions, question, headers)

    async def list_models(self, request: Request) -> Response:
        await self._caller(request)
        return _json({"object": "list", "data": [self._model()]})

    async def read_model(self, request: Request) -> Response:
        await self._caller(request)
        asked = request.path_params["model"]
        if asked != self.upstreams.model:
            raise ModelNotFound(asked, self.upstreams.model)
        return _json(self._model())

    def _model(self) -> dict[str, object]:
        about = {"id": self.upstreams.model, "object": "model", "created": self._began}
        return {**about, "owned_by": "eddyline"}

    async def _caller(self, request: Request) -> Principal:
        _refuse_parameters(request)
        caller = await self._context.authenticator.principal(request)
        caller.require("chat", "complete")
        return caller


def _refuse_parameters(request: Request) -> None:
    if request.query_params:
        name = next(iter(request.query_params))
        raise BadRequest(f"unknown parameter {name[:80]!r}: this route takes none")


def _json(value: object) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")
