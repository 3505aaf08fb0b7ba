"""The parts of the OpenAPI document that FastAPI cannot tell from the routes."""

from collections.abc import Sequence
from typing import Literal

from typing_extensions import TypedDict

from eddyline.errors import BadRequest, NotFound, UpstreamError
from eddyline.service.openapi.operation import ADMISSION, Responses, problems, stream
from eddyline.wire.ndjson import NDJSON


class Dataset(TypedDict):
    """`key` is the column by which rows are ordered, and from which `after` goes on."""

    name: str
    key: str
    columns: Sequence[str]


class BrokenDataset(TypedDict):
    """A dataset that cannot be read, and the reason."""

    name: str
    detail: str


class DatasetList(TypedDict):
    """`unavailable`: those of the caller's datasets that cannot be read now."""

    datasets: list[Dataset]
    unavailable: list[BrokenDataset]


_ROW = {"type": "object", "additionalProperties": True, "description": "Values by column."}

#: A query parameter that is 1 or 0, and nothing else.
Flag = Literal["0", "1"]

ROWS: Responses = {
    200: {"description": "Rows, one on each line", "content": stream(NDJSON, _ROW)},
    **problems(BadRequest, NotFound, UpstreamError),
    **ADMISSION,
}
