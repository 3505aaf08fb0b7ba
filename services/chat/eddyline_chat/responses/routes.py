"""OpenAI's Responses API over any chat upstream: `/v1/responses`."""

import time
import uuid
from collections.abc import Iterable
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from eddyline.auth.principal import Principal
from eddyline.errors import BadRequest, UpstreamError
from eddyline.responses.pull import PullResponse
from eddyline.service.admission import Permit
from eddyline.service.raw_route import RawRoute
from eddyline.telemetry.metrics import StreamMetrics
from eddyline.wire import sse
from eddyline_chat.generations.generation import OnDisconnect
from eddyline_chat.generations.generations import Generations
from eddyline_chat.generations.starting import Starting
from eddyline_chat.http.answers import ID, Answers
from eddyline_chat.http.message import passed_on
from eddyline_chat.http.replay import replay
from eddyline_chat.responses import request as requests
from eddyline_chat.responses.events import ResponseEvents
from eddyline_chat.responses.openapi import CREATE, READ, STOP
from eddyline_chat.responses.request import Asked
from eddyline_chat.settings import ChatSettings
from eddyline_chat.upstreams.base import Question
from eddyline_chat.v1.routes import json_response


class ResponsesApi:
    """OpenAI's routes of responses; each public method but `routes` is an endpoint."""

    def __init__(self, answers: Answers, settings: ChatSettings) -> None:
        self._answers = answers
        self._limit = settings.request_limit
        self._head_after = settings.head_after
        self._heartbeat = settings.heartbeat
        self._pulls = StreamMetrics("chat", "pull")

    def routes(self) -> APIRouter:
        routes = APIRouter(route_class=RawRoute)
        path = "/v1/responses/{id}"
        routes.add_api_route("/v1/responses", self.create_response, methods=["POST"], **CREATE)
        routes.add_api_route(f"{path}/cancel", self.cancel_response, methods=["POST"], **STOP)
        routes.add_api_route(path, self.read_response, methods=["GET"], **READ)
        return routes

    async def create_response(self, request: Request) -> Response:
        generations, caller = await self._find(request)
        model = self._answers.upstreams.model
        asked = await requests.read(request, self._limit, model)
        id = f"resp_{uuid.uuid4().hex}"
        with self._answers.context.limits.for_request(request, caller) as permit:
            question = Question(asked.question, passed_on(request))
            fate: OnDisconnect = "continue" if asked.background else "cancel"
            started = await self._answers.start(caller, id, question, fate, _meta(id, model, asked))
            if not asked.background:
                await started.wait(self._head_after)  # raises the upstream's error
            if asked.stream:
                return self._stream(permit, generations, caller, id, -1, started)
            if not asked.background:
                await self._finished(generations, caller, id, started)
        response = (await self._read(generations, caller, id)).response
        if not asked.background and response["status"] in ("failed", "cancelled"):
            raise UpstreamError(response["error"]["message"])
        return json_response(response)

    async def read_response(self, request: Request) -> Response:
        generations, caller = await self._find(request)
        id = request.path_params["id"]
        if request.query_params.get("stream") not in ("true", "True", "1"):
            return json_response((await self._read(generations, caller, id)).response)
        await generations.state(caller.identity, id)  # raises NotFound
        after = _starting_after(request)
        with self._answers.context.limits.for_request(request, caller) as permit:
            return self._stream(permit, generations, caller, id, after, None)

    async def cancel_response(self, request: Request) -> Response:
        generations, caller = await self._find(request)
        id = request.path_params["id"]
        await generations.cancel(caller.identity, id)
        return json_response((await self._read(generations, caller, id)).response)

    async def _finished(
        self, generations: Generations, caller: Principal, id: str, started: Starting
    ) -> None:
        try:
            async for _ in generations.follow(caller.identity, id, self._heartbeat):
                pass
        finally:
            started.leave()

    def _stream(
        self,
        permit: Permit,
        generations: Generations,
        caller: Principal,
        id: str,
        after: int,
        started: Starting | None,
    ) -> Response:
        context = self._answers.context.stream(self._pulls, permit, caller.expires)
        frames = _Frames(id, after)
        chunks = replay(generations, caller.identity, id, self._heartbeat, frames, started)
        return PullResponse(chunks, context, media_type=sse.EVENT_STREAM, headers={ID: id})

    async def _read(self, generations: Generations, caller: Principal, id: str) -> ResponseEvents:
        events = ResponseEvents(id)
        for record in await generations.values(caller.identity, id):
            for _ in events.end(record) if isinstance(record, str) else events.record(record):
                pass
        return events

    async def _find(self, request: Request) -> tuple[Generations, Principal]:
        return await self._answers.kept(request, "responses need a store of answers")


class _Frames:
    """A `Translation` to the events after a number."""

    def __init__(self, id: str, after: int) -> None:
        self._events = ResponseEvents(id)
        self._after = after

    def record(self, value: dict[str, Any]) -> bytes:
        return self._frames(self._events.record(value))

    def end(self, reason: str) -> bytes:
        return self._frames(self._events.end(reason))

    def _frames(self, events: Iterable[dict[str, Any]]) -> bytes:
        return b"".join([_frame(e) for e in events if e["sequence_number"] > self._after])


def _starting_after(request: Request) -> int:
    """The number of the event after which to start; `Last-Event-ID` says the same."""
    found = request.headers.get("last-event-id") or request.query_params.get("starting_after")
    if found is None:
        return -1
    if not found.isdecimal() or len(found) > 15:
        raise BadRequest(f"starting_after={found[:80]!r}: expected the number of an event")
    return int(found)


def _meta(id: str, model: str, asked: Asked) -> dict[str, Any]:
    """The first record: a chunk without choices, with the fields that the response repeats."""
    common = {"id": id, "object": "chat.completion.chunk", "created": int(time.time())}
    return {**common, "model": model, "choices": [], "response": asked.echoed}


def _frame(event: dict[str, Any]) -> bytes:
    head = f"event: {event['type']}\nid: {event['sequence_number']}\n".encode()
    return head + b"data: " + orjson.dumps(event) + b"\n\n"
