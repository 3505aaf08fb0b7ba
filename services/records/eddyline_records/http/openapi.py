"""The parts of the OpenAPI document that FastAPI cannot tell from the routes."""

from collections.abc import Sequence

from typing_extensions import TypedDict

from eddyline.errors import BadRequest, NotFound
from eddyline.service.openapi.operation import ADMISSION, Responses, problems, stream
from eddyline.wire.ndjson import NDJSON


class Dataset(TypedDict):
    """`key` is the column by which rows are ordered, and from which `after` goes on."""

    name: str
    key: str
    columns: Sequence[str]


class DatasetList(TypedDict):
    datasets: list[Dataset]


_ROW = {"type": "object", "additionalProperties": True, "description": "Values by column."}

EVERY_ROW: Responses = {
    200: {"description": "Rows, one on each line", "content": stream(NDJSON, _ROW)},
    **problems(NotFound),
    **ADMISSION,
}
ROWS: Responses = {**EVERY_ROW, **problems(BadRequest)}
