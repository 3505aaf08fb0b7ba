"""HTTP of the records service."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from eddyline.auth.authenticator import Principal
from eddyline.errors import NotFound
from eddyline.responses.pull import PullResponse
from eddyline.service.app import Context
from eddyline.telemetry.metrics import StreamMetrics
from eddyline.wire.ndjson import NDJSON
from eddyline_records.sources.dataset import Dataset
from eddyline_records.sources.scan import Scan
from eddyline_records.sources.table import Table

_ROWS: dict[int | str, dict[str, Any]] = {200: {"content": {NDJSON: {}}}}


def router(context: Context, datasets: Mapping[str, Dataset]) -> APIRouter:
    routes = APIRouter()
    Caller = Annotated[Principal, Depends(context.authenticator.principal)]
    metrics = StreamMetrics("records", "pull")

    async def send(
        request: Request,
        caller: Principal,
        name: str,
        columns: list[str] | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> Response:
        caller.require("records", "read", name)
        dataset = datasets.get(name)
        if dataset is None:
            known = ", ".join(n for n in datasets if caller.allows("records", "read", n)) or "none"
            raise NotFound(f"there is no dataset {name[:80]!r}; there are: {known}")
        table = await asyncio.to_thread(Table.from_dataset, dataset)
        key = None if after is None else table.key_of(after)
        scan = Scan(dataset, table, table.select(columns), key, limit)
        permit = context.limits.for_request(request, caller)
        stream = context.stream(metrics, permit, caller.expires)
        return PullResponse(scan.pages, stream, media_type=NDJSON, interrupt=scan.interrupt)

    @routes.get("/users/stream", response_class=Response, responses=_ROWS)
    async def users(request: Request, caller: Caller) -> Response:
        """Every row of the dataset `users`, one JSON object a line."""
        return await send(request, caller, "users")

    @routes.get("/records")
    async def listing(caller: Caller) -> dict[str, Any]:
        """The datasets that the caller may read."""
        readable = [d for d in datasets.values() if caller.allows("records", "read", d.name)]
        tables = await asyncio.gather(*(asyncio.to_thread(Table.from_dataset, d) for d in readable))
        return {
            "datasets": [
                {"name": d.name, "key": t.key, "columns": t.columns}
                for d, t in zip(readable, tables, strict=True)
            ]
        }

    @routes.get("/records/{dataset}", response_class=Response, responses=_ROWS)
    async def records(
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
        return await send(request, caller, dataset, names, after, limit)

    return routes
