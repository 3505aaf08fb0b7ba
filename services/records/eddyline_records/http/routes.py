"""HTTP of the records service."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from eddyline.auth.principal import Principal
from eddyline.service.access import Caller
from eddyline.service.app import Context
from eddyline.service.settings import Settings
from eddyline.telemetry.metrics import StreamMetrics
from eddyline.threads import PULLS
from eddyline_records.cursor import Cursors
from eddyline_records.http.asking import RowsQuery, question, representation, selection
from eddyline_records.http.catalog import CatalogApi
from eddyline_records.http.datasets import Datasets
from eddyline_records.http.openapi import DESCRIBED, ROWS
from eddyline_records.http.query import refuse_doubtful
from eddyline_records.http.response import RowsResponse, counted, head, headers
from eddyline_records.sources.base import Source


class RecordsApi:
    """The routes of the service; each public method but `routes` is an endpoint."""

    def __init__(
        self, context: Context, datasets: Mapping[str, Source], snapshot_seconds: float
    ) -> None:
        self._context = context
        self._datasets = Datasets(datasets)
        self._snapshot = snapshot_seconds
        self._cursors = Cursors(_secret(context.settings))
        self._catalog = CatalogApi(context.limits, self._datasets, self._cursors)
        self._pulls = StreamMetrics("records", "pull")

    def routes(self) -> APIRouter:
        routes = APIRouter(dependencies=[Depends(refuse_doubtful)])
        for path, endpoint in (
            ("/users/stream", self.stream_users),
            ("/records/{dataset}", self.read_records),
        ):
            routes.add_api_route(path, endpoint, response_class=Response, responses=ROWS)
            routes.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
        for path, describe in (
            ("/records", self._catalog.list_datasets),
            ("/records/{dataset}/schema", self._catalog.describe_dataset),
            ("/records/{dataset}/shards", self._catalog.list_shards),
        ):
            routes.add_api_route(path, describe, responses=DESCRIBED)
            routes.add_api_route(path, describe, methods=["HEAD"], include_in_schema=False)
        return routes

    async def stream_users(self, request: Request, caller: Caller) -> Response:
        """Every row of the dataset `users`, one JSON object a line."""
        return await self._send(request, caller, "users", RowsQuery())

    async def read_records(
        self, request: Request, caller: Caller, dataset: str, query: Annotated[RowsQuery, Query()]
    ) -> Response:
        """Rows in the order of the dataset's key, in the format that `Accept` or `format` names.

        To go on after a row, give its key as `after`, or a `cursor`, which no other dataset and no
        other version of this one takes. With `limit`, `Link: …; rel="next"` has the next page.

        A clean end is there only after the last row. A fault after the first one ends the rows with
        a block of the `X-Stream-Exception-Tag` (NDJSON, CSV), and the body without its regular end.
        With `framed=1` each row is `{"row": …}`, and `{"cursor": …}` follows those of a page. The
        last line is `{"end": …}`: it has the number of rows, the bytes before it with their
        SHA-256, the `cursor`, whether the source was `changed` meanwhile, and how many invalid
        texts were `replaced`. Or it is `{"error": …}`. Without `end` the rows are not all.
        """
        return await self._send(request, caller, dataset, query)

    async def _send(
        self, request: Request, caller: Principal, name: str, query: RowsQuery
    ) -> Response:
        source = self._datasets.find(caller, name)
        form = representation(request, query)
        schema = await source.schema()
        asked = question(request, name, schema, query, descending=query.order == "desc")
        wanted = selection(source, schema, asked, query, self._cursors, self._snapshot)
        with self._context.limits.for_request(request, caller) as permit:
            # Counting may read the whole dataset, as a stream does.
            count = await counted(source, schema, wanted, query.count)
            lines = headers(wanted, asked, form) | count
            if request.method == "HEAD":
                return head(form, lines)
            scan = source.scan(schema, wanted)
            stream = self._context.stream(self._pulls, permit, caller.expires)
            lane = PULLS.lane(("records", name))
            return RowsResponse(request, stream, lane, scan, asked, form, lines, self._cursors)


def _secret(settings: Settings) -> bytes:
    """Where a secret verifies tokens, it signs cursors too: all replicas have it. Elsewhere cursors
    are not secret-proof, and need not be: a token says which datasets a client may read.
    """
    return settings.auth_key.get_secret_value().encode() if settings.auth_key else b""
