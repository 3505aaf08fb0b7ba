"""The parts of the OpenAPI document that FastAPI cannot tell from the routes."""

from collections.abc import Sequence
from typing import Any

from typing_extensions import TypedDict

from eddyline.errors import (
    BadRequest,
    Conflict,
    NotAcceptable,
    NotFound,
    UpstreamError,
)
from eddyline.service.openapi.operation import ADMISSION, Responses, problems, stream
from eddyline_records.formats.csv import CSV
from eddyline_records.formats.json import JSON, JSONL, NDJSON


class Dataset(TypedDict):
    """`key`: the columns by which rows are ordered, and from which `after` goes on."""

    name: str
    key: Sequence[str]
    columns: Sequence[str]


class BrokenDataset(TypedDict):
    """A dataset that cannot be read, and the reason."""

    name: str
    detail: str


class DatasetList(TypedDict):
    """`unavailable`: those of the caller's datasets that cannot be read now."""

    datasets: list[Dataset]
    unavailable: list[BrokenDataset]


class ColumnSchema(TypedDict):
    """`type`: in the source's own words. `where`: whether conditions may name it."""

    name: str
    type: str
    where: bool


class DatasetSchema(TypedDict):
    """`estimate`: about the number of rows, where it is known without reading them."""

    name: str
    version: str
    key: Sequence[str]
    key_type: str
    estimate: int | None
    columns: list[ColumnSchema]
    json_schema: dict[str, Any]


class Shard(TypedDict):
    """A part of the rows."""

    cursor: str


class ShardList(TypedDict):
    """Parts that are all rows of one version of a dataset, each of them once."""

    version: str
    shards: list[Shard]


_ROW = {"type": "object", "additionalProperties": True, "description": "Values by column."}

DESCRIBED: Responses = {**problems(BadRequest, NotFound, UpstreamError), **ADMISSION}

ROWS: Responses = {
    200: {
        "description": "Rows",
        "content": {
            **stream(NDJSON.media_types[0], _ROW),
            **stream(JSONL.media_types[0], _ROW),
            JSON.media_types[0]: {"schema": {"type": "array", "items": _ROW}},
            CSV.media_types[0]: {"schema": {"type": "string"}},
        },
    },
    **problems(BadRequest, NotFound, NotAcceptable, Conflict, UpstreamError),
    **ADMISSION,
}
