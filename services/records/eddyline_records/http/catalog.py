"""The datasets, their schemas, and parts of them for readers in parallel."""

from typing import Annotated, Any

from fastapi import Query, Request, Response

from eddyline.errors import Unavailable
from eddyline.service.access import Caller
from eddyline.service.admission import Limits
from eddyline_records.cursor import Cursors, Place
from eddyline_records.http.asking import ShardsQuery, question
from eddyline_records.http.datasets import Datasets
from eddyline_records.http.openapi import Dataset, DatasetList, DatasetSchema, Shard, ShardList
from eddyline_records.sources.base import BadValue, Schema, Selection

#: A value in JSON. SQLite's columns may hold a value of any type, whichever type they declare.
_VALUE = {"type": ["number", "string", "object", "null"]}


class CatalogApi:
    """Each public method is an endpoint."""

    def __init__(self, limits: Limits, datasets: Datasets, cursors: Cursors) -> None:
        self._limits = limits
        self._datasets = datasets
        self._cursors = cursors

    async def list_datasets(self, caller: Caller) -> DatasetList:
        """The datasets that the caller may read."""
        listed: DatasetList = {"datasets": [], "unavailable": []}
        for name, schema in (await self._datasets.schemas(caller)).items():
            if isinstance(schema, Unavailable):
                listed["unavailable"].append({"name": name, "detail": schema.detail})
            else:
                found: Dataset = {"name": name, "key": schema.key, "columns": schema.columns}
                listed["datasets"].append(found)
        return listed

    async def describe_dataset(
        self, caller: Caller, dataset: str, response: Response
    ) -> DatasetSchema:
        """The columns of a dataset, its key, its version, and about how many rows it has."""
        source = self._datasets.find(caller, dataset)
        schema = await source.schema()
        estimate = await source.count(schema, Selection(()), exact=False)
        response.headers["X-Dataset-Version"] = schema.version
        types = schema.types or ("",) * len(schema.columns)
        return {
            "name": dataset,
            "version": schema.version,
            "key": schema.key,
            "key_type": schema.key_type,
            "estimate": estimate,
            "columns": [
                {"name": name, "type": kind, "where": name in schema.filters}
                for name, kind in zip(schema.columns, types, strict=True)
            ],
            "json_schema": _json_schema(schema),
        }

    async def list_shards(
        self, request: Request, caller: Caller, dataset: str, query: Annotated[ShardsQuery, Query()]
    ) -> ShardList:
        """Parts of a dataset that together are all of its rows, each of them once: give `cursor`
        with the same parameters to read one. They are of about one size.
        """
        source = self._datasets.find(caller, dataset)
        schema = await source.schema()
        asked = question(request, dataset, schema, query)
        with self._limits.for_request(request, caller):
            # It may read the whole dataset, as a stream does.
            keys = await source.split(schema, query.n)
        shards: list[Shard] = []
        for after, until in zip([None, *keys], keys, strict=False):
            cursor = self._cursors.text(asked, Place(after, until))
            if cursor is None:
                raise BadValue(f"the key {str(until)[:80]} is too long for a cursor")
            shards.append({"cursor": cursor})
        return {"version": schema.version, "shards": shards}


def _json_schema(schema: Schema) -> dict[str, Any]:
    """That of a row (https://json-schema.org/draft/2020-12)."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": dict.fromkeys(schema.columns, _VALUE),
        "required": list(schema.columns),
        "additionalProperties": False,
    }
