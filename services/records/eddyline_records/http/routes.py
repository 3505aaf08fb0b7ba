"""HTTP of the records service."""

import asyncio
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from eddyline.auth.principal import Principal
from eddyline.errors import NotFound
from eddyline.responses.pull import PullResponse
from eddyline.service.access import Caller
from eddyline.service.app import Context
from eddyline.telemetry.metrics import StreamMetrics
from eddyline.threads import PULLS
from eddyline.wire.ndjson import NDJSON
from eddyline_records.formats import ndjson
from eddyline_records.http.openapi import EVERY_ROW, ROWS, DatasetList
from eddyline_records.sources.base import Source


class RecordsApi:
    """The routes of the service; each public method but `routes` is an endpoint."""

    def __init__(self, context: Context, datasets: Mapping[str, Source]) -> None:
        self._context = context
        self._datasets = datasets
        self._pulls = StreamMetrics("records", "pull")

    def routes(self) -> APIRouter:
        routes = APIRouter()
        add = routes.add_api_route
        add("/users/stream", self.stream_users, response_class=Response, responses=EVERY_ROW)
        add("/records", self.list_datasets)
        add("/records/{dataset}", self.read_records, response_class=Response, responses=ROWS)
        return routes

    async def stream_users(self, request: Request, caller: Caller) -> Response:
        """Every row of the dataset `users`, one JSON object a line."""
        return await self._send(request, caller, "users")

    async def list_datasets(self, caller: Caller) -> DatasetList:
        """The datasets that the caller may read."""
        readable = {
            name: source
            for name, source in self._datasets.items()
            if caller.allows("records", "read", name)
        }
        schemas = await asyncio.gather(*(source.schema() for source in readable.values()))
        return {
            "datasets": [
                {"name": name, "key": schema.key, "columns": schema.columns}
                for name, schema in zip(readable, schemas, strict=True)
            ]
        }

    async def read_records(
        self,
        request: Request,
        caller: Caller,
        dataset: str,
        columns: Annotated[str | None, Query(max_length=4096)] = None,
        after: Annotated[str | None, Query(max_length=1024)] = None,
        limit: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    ) -> Response:
        """Rows in the order of the dataset's key, one JSON object a line.

        `columns` are separated by commas. To go on after a row, give its key as `after`: so a
        client that was cut off resumes where it was, and so `limit` makes pages.
        """
        names = columns.split(",") if columns else None
        return await self._send(request, caller, dataset, names, after, limit)

    async def _send(
        self,
        request: Request,
        caller: Principal,
        name: str,
        columns: list[str] | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> Response:
        source = self._find(caller, name)
        schema = await source.schema()
        wanted = schema.select(columns)
        key = None if after is None else source.key_of(schema, after)
        with self._context.limits.for_request(request, caller) as permit:
            scan = source.scan(schema, wanted, key, limit)
            stream = self._context.stream(self._pulls, permit, caller.expires)
            return PullResponse(
                lambda: scan.pages(ndjson(wanted)),
                stream,
                media_type=NDJSON,
                interrupt=scan.interrupt,
                lane=PULLS.lane(("records", name)),
            )

    def _find(self, caller: Principal, name: str) -> Source:
        caller.require("records", "read", name)
        source = self._datasets.get(name)
        if source is None:
            readable = [n for n in self._datasets if caller.allows("records", "read", n)]
            known = ", ".join(readable) or "none"
            raise NotFound(f"there is no dataset {name[:80]!r}; there are: {known}")
        return source
