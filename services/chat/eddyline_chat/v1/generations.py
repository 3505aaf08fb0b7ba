"""Answers after their first connection: read, rejoined, cancelled."""

from fastapi import APIRouter, Request, Response

from eddyline.auth.principal import Principal
from eddyline.journal.cursor import Cursor
from eddyline.service.raw_route import RawRoute
from eddyline.wire import sse
from eddyline_chat.generations.generations import Generations
from eddyline_chat.http.answers import ID, Answers
from eddyline_chat.v1.openapi import CANCEL, GENERATION, GENERATION_EVENTS
from eddyline_chat.v1.routes import json_response


class GenerationsApi:
    """The routes of answers that were begun; each public method but `routes` is an endpoint."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def routes(self) -> APIRouter:
        routes = APIRouter(route_class=RawRoute)
        path = "/v1/generations/{id}"
        events = f"{path}/events"
        routes.add_api_route(
            events, self.read_generation_events, methods=["GET"], **GENERATION_EVENTS
        )
        routes.add_api_route(f"{path}/cancel", self.cancel_generation, methods=["POST"], **CANCEL)
        routes.add_api_route(path, self.read_generation, methods=["GET"], **GENERATION)
        return routes

    async def read_generation(self, request: Request) -> Response:
        generations, caller = await self._find(request)
        return json_response(await generations.state(caller.identity, request.path_params["id"]))

    async def cancel_generation(self, request: Request) -> Response:
        generations, caller = await self._find(request)
        return json_response(await generations.cancel(caller.identity, request.path_params["id"]))

    async def read_generation_events(self, request: Request) -> Response:
        generations, caller = await self._find(request)
        # The header first: an EventSource that comes back repeats the URL of its first request.
        after = request.headers.get("last-event-id") or request.query_params.get("after")
        cursor = Cursor.parse(after) if after else None
        id = request.path_params["id"]
        headers = {**sse.STREAM_HEADERS, ID: id}
        with self._answers.context.limits.for_request(request, caller) as permit:
            return await generations.events(
                caller.identity, id, cursor, permit, caller.expires, headers
            )

    async def _find(self, request: Request) -> tuple[Generations, Principal]:
        return await self._answers.kept(request, "no answer is kept here")
