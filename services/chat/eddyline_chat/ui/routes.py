"""The routes of the AI SDK's `useChat`: `POST /api/chat`, and the answer that still runs."""

from fastapi import APIRouter, Request, Response

from eddyline.auth.principal import Principal
from eddyline.responses.pull import PullResponse
from eddyline.service.admission import Permit
from eddyline.service.raw_route import RawRoute
from eddyline.telemetry.metrics import StreamMetrics
from eddyline.wire import sse
from eddyline_chat.generations.generations import Generations
from eddyline_chat.generations.starting import Starting
from eddyline_chat.http.answers import ID, Answers, new_id, on_disconnect
from eddyline_chat.http.message import passed_on
from eddyline_chat.http.replay import replay
from eddyline_chat.settings import ChatSettings
from eddyline_chat.ui import request as requests
from eddyline_chat.ui.events import UiMessageStream
from eddyline_chat.ui.openapi import ASK, RESUME
from eddyline_chat.upstreams.base import Question

_HEADER = {"x-vercel-ai-ui-message-stream": "v1"}


class UiApi:
    """The routes of `useChat`; each public method but `routes` is an endpoint."""

    def __init__(self, answers: Answers, settings: ChatSettings) -> None:
        self._answers = answers
        self._settings = settings
        self._pulls = StreamMetrics("chat", "pull")

    def routes(self) -> APIRouter:
        routes = APIRouter(route_class=RawRoute)
        routes.add_api_route("/api/chat", self.ask_in_ui, methods=["POST"], **ASK)
        routes.add_api_route("/api/chat/{id}/stream", self.resume_in_ui, methods=["GET"], **RESUME)
        return routes

    async def ask_in_ui(self, request: Request) -> Response:
        generations, caller = await self._find(request)
        model = self._answers.upstreams.model
        asked = await requests.read(request, self._settings.request_limit, model)
        question = Question(asked.question, passed_on(request))
        id, fate = new_id(), on_disconnect(request)
        with self._answers.context.limits.for_request(request, caller) as permit:
            await generations.note_chat(caller.identity, asked.chat, id)
            started = await self._answers.start(caller, id, question, fate)
            await started.wait(self._settings.head_after)  # raises the upstream's error
            return self._stream(permit, generations, caller, id, started)

    async def resume_in_ui(self, request: Request) -> Response:
        generations, caller = await self._find(request)
        id = await generations.running_in_chat(caller.identity, request.path_params["id"])
        if id is None:
            return Response(status_code=204)
        with self._answers.context.limits.for_request(request, caller) as permit:
            return self._stream(permit, generations, caller, id, None)

    def _stream(
        self,
        permit: Permit,
        generations: Generations,
        caller: Principal,
        id: str,
        started: Starting | None,
    ) -> Response:
        context = self._answers.context.stream(self._pulls, permit, caller.expires)
        stream = UiMessageStream(id)
        heartbeat = self._settings.heartbeat
        chunks = replay(generations, caller.identity, id, heartbeat, stream, started)
        headers = {**_HEADER, ID: id}
        return PullResponse(chunks, context, media_type=sse.EVENT_STREAM, headers=headers)

    async def _find(self, request: Request) -> tuple[Generations, Principal]:
        return await self._answers.kept(request, "this route needs a store of answers")
