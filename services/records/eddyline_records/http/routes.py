"""HTTP of the records service."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BeforeValidator

from eddyline.auth.principal import Principal
from eddyline.errors import BadRequest, NotFound, Unavailable
from eddyline.responses.pull import PullResponse
from eddyline.service.access import Caller
from eddyline.service.app import Context
from eddyline.service.openapi.operation import problems
from eddyline.telemetry.metrics import StreamMetrics
from eddyline.threads import PULLS
from eddyline.wire.ndjson import NDJSON
from eddyline.wire.sse import STREAM_HEADERS
from eddyline_records.formats import framed_ndjson, ndjson
from eddyline_records.framed import FramedScan
from eddyline_records.http.openapi import ROWS, Dataset, DatasetList, Flag
from eddyline_records.http.query import refuse_unknown
from eddyline_records.sources.base import Schema, Source


def _digits(value: object) -> object:
    """Digits alone: int() would also take 1_0, for 10."""
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        raise ValueError("it must be a number of digits")
    return value


class RecordsApi:
    """The routes of the service; each public method but `routes` is an endpoint."""

    def __init__(self, context: Context, datasets: Mapping[str, Source]) -> None:
        self._context = context
        self._datasets = datasets
        self._pulls = StreamMetrics("records", "pull")

    def routes(self) -> APIRouter:
        routes = APIRouter(dependencies=[Depends(refuse_unknown)])
        for path, endpoint in (
            ("/users/stream", self.stream_users),
            ("/records/{dataset}", self.read_records),
        ):
            routes.add_api_route(path, endpoint, response_class=Response, responses=ROWS)
            routes.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
        routes.add_api_route("/records", self.list_datasets, responses=problems(BadRequest))
        routes.add_api_route(
            "/records", self.list_datasets, methods=["HEAD"], include_in_schema=False
        )
        return routes

    async def stream_users(self, request: Request, caller: Caller) -> Response:
        """Every row of the dataset `users`, one JSON object a line."""
        return await self._send(request, caller, "users")

    async def list_datasets(self, caller: Caller) -> DatasetList:
        """The datasets that the caller may read."""
        listed: DatasetList = {"datasets": [], "unavailable": []}
        readable = [n for n in self._datasets if caller.allows("records", "read", n)]
        for name, schema in zip(readable, await self._schemas(readable), strict=True):
            if isinstance(schema, Unavailable):
                listed["unavailable"].append({"name": name, "detail": schema.detail})
            else:
                found: Dataset = {"name": name, "key": schema.key, "columns": schema.columns}
                listed["datasets"].append(found)
        return listed

    async def read_records(
        self,
        request: Request,
        caller: Caller,
        dataset: str,
        columns: Annotated[str | None, Query(max_length=4096)] = None,
        after: Annotated[str | None, Query(max_length=1024)] = None,
        limit: Annotated[int | None, BeforeValidator(_digits), Query(ge=1, le=2**63 - 1)] = None,
        framed: Annotated[Flag, Query()] = "0",
    ) -> Response:
        """Rows in the order of the dataset's key, one JSON object a line.

        `columns` are separated by commas. To go on after a row, give its key as `after`: so a
        client that was cut off resumes where it was, and so `limit` makes pages.

        With `framed=1` each line is `{"row": …}`, and the last one is `{"end": …}`: it has the
        number of rows, the bytes of their lines with the SHA-256, the `cursor` (the `after` of the
        last row), whether the source was `changed` meanwhile, and how many invalid texts were
        `replaced`. Or it is `{"error": …}`. Without `end` the rows are not all.
        """
        names = columns.split(",") if columns is not None else None
        return await self._send(request, caller, dataset, names, after, limit, framed == "1")

    async def _send(
        self,
        request: Request,
        caller: Principal,
        name: str,
        columns: list[str] | None = None,
        after: str | None = None,
        limit: int | None = None,
        framed: bool = False,
    ) -> Response:
        source = self._find(caller, name)
        schema = await source.schema()
        wanted = schema.select(columns)
        key = None if after is None else source.key_of(schema, after)
        if request.method == "HEAD":
            return _head()
        with self._context.limits.for_request(request, caller) as permit:
            scan = source.scan(schema, wanted, key, limit)
            body = FramedScan(scan) if framed else scan
            encode = (framed_ndjson if framed else ndjson)(wanted)
            stream = self._context.stream(self._pulls, permit, caller.expires)
            return PullResponse(
                lambda: body.pages(encode),
                stream,
                media_type=NDJSON,
                interrupt=scan.interrupt,
                lane=PULLS.lane(("records", name)),
                # A fault of the first page is an error status.
                head_at_once=False,
            )

    async def _schemas(self, names: Iterable[str]) -> list[Schema | Unavailable]:
        async def read(source: Source) -> Schema | Unavailable:
            try:
                return await source.schema()
            except Unavailable as error:
                return error

        return await asyncio.gather(*(read(self._datasets[name]) for name in names))

    def _find(self, caller: Principal, name: str) -> Source:
        caller.require("records", "read", name)
        source = self._datasets.get(name)
        if source is None:
            readable = [n for n in self._datasets if caller.allows("records", "read", n)]
            known = ", ".join(readable) or "none"
            raise NotFound(f"there is no dataset {name[:80]!r}; there are: {known}")
        return source


def _head() -> Response:
    response = Response(media_type=NDJSON, headers=STREAM_HEADERS)
    # The length of the body is unknown, and 0 would be another one.
    del response.headers["content-length"]
    return response
