"""HTTP of the sample service."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from eddyline.responses.pull import PullResponse
from eddyline.service.access import Caller
from eddyline.service.app import Context
from eddyline.service.openapi.operation import ADMISSION, Responses, ref, stream
from eddyline.telemetry.metrics import StreamMetrics
from eddyline.wire.ndjson import NDJSON
from eddyline_sample.numbers import Number, numbers
from eddyline_sample.settings import SampleSettings

_NUMBERS: Responses = {200: {"content": stream(NDJSON, ref(Number))}, **ADMISSION}


class SampleApi:
    """The routes of the service; each public method but `routes` is an endpoint."""

    def __init__(self, context: Context, settings: SampleSettings) -> None:
        self._context = context
        self._settings = settings
        self._pulls = StreamMetrics("sample", "pull")

    def routes(self) -> APIRouter:
        routes = APIRouter()
        routes.add_api_route(
            "/sample",
            self.stream_numbers,
            response_class=Response,
            response_model=Number,
            responses=_NUMBERS,
        )
        return routes

    async def stream_numbers(
        self, request: Request, caller: Caller, after: Annotated[int, Query(ge=0)] = 0
    ) -> Response:
        """Numbers, a JSON object a line. `after` is the last number that the client has."""
        caller.require("sample", "read")
        last, interval = self._settings.last, self._settings.interval
        with self._context.limits.for_request(request, caller) as permit:
            conditions = self._context.stream(self._pulls, permit, caller.expires)
            return PullResponse(
                lambda: numbers(after + 1, last, interval), conditions, media_type=NDJSON
            )
