"""The question of a request: which rows, and in which form."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from eddyline.errors import BadRequest, Conflict
from eddyline_records.bodies.compressed import CODINGS
from eddyline_records.cursor import Cursors, Place, Question
from eddyline_records.formats.base import Format, Options
from eddyline_records.formats.json import NDJSON
from eddyline_records.formats.registry import FORMATS
from eddyline_records.http.negotiation import coding, negotiated
from eddyline_records.http.query import CONDITIONS, conditions
from eddyline_records.sources.base import InvalidText, Schema, Selection, Source

#: A query parameter that is 1 or 0, and nothing else.
Flag = Literal["0", "1"]


def _digits(value: object) -> object:
    """Digits alone: int() would also take 1_0, for 10."""
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        raise ValueError("it must be a number of digits")
    return value


class Asked(BaseModel):
    """The parameters of a request that choose rows."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    columns: Annotated[str | None, Field(max_length=4096)] = None
    """The columns, in this order, separated by commas. By default all."""
    where: Annotated[str | None, Field(alias=CONDITIONS)] = None
    """Only the rows for which it is true: `where[id][gte]=5`. The operations are `eq`, `ne`, `lt`,
    `lte`, `gt`, `gte`, `in` (values separated by commas), `prefix`, and `null` (1 or 0). All
    conditions must be true.
    """


class ShardsQuery(Asked):
    """The parameters of a request for parts."""

    n: Annotated[int, BeforeValidator(_digits), Field(ge=1, le=1024)] = 8
    """The number of parts."""


class RowsQuery(Asked):
    """The parameters of a request for rows."""

    after: Annotated[str | None, Field(max_length=1024)] = None
    """The key of a row: the rows after it."""
    cursor: Annotated[str | None, Field(max_length=4096)] = None
    """A cursor of an answer to the same request: the rows after it, of the same version."""
    version: Annotated[str | None, Field(max_length=64)] = None
    """The `X-Dataset-Version` of an earlier answer: another one now is 409."""
    order: Literal["asc", "desc"] = "asc"
    """`desc`: from the greatest key on."""
    count: Literal["planned", "exact"] | None = None
    """The number of rows, without `limit`: `X-Row-Count` if `exact`, which reads all of them, and
    else `X-Row-Count-Estimate`, where one is known.
    """
    limit: Annotated[int | None, BeforeValidator(_digits), Field(ge=1, le=2**63 - 1)] = None
    """The number of rows; `Link: …; rel="next"` has the rest."""
    format: Literal["ndjson", "jsonl", "json", "csv"] | None = None
    """The format, in place of `Accept`."""
    framed: Flag = "0"
    """1: lines that tell the end, of NDJSON or JSON Lines."""
    snapshot: Flag = "0"
    """1: all rows as they are at one moment, or an error after a time."""
    int64: Literal["number", "string"] = "number"
    """The form of integers beyond 2^53, which JavaScript rounds."""
    nonfinite: Literal["null", "string"] = "null"
    """The form of an infinity, which JSON has not."""
    invalid_utf8: InvalidText | None = None
    """A text that is not UTF-8: U+FFFD in place of its bad bytes, or an error."""
    null: Annotated[str | None, Field(max_length=32)] = None
    """The text of a null in CSV; it is unquoted."""
    guard: Flag = "0"
    """1: an apostrophe before texts of CSV that a spreadsheet would run as a formula."""


@dataclass(frozen=True, slots=True)
class Representation:
    """The form of the rows. `coding`: None for bytes as they are."""

    format: Format
    media_type: str
    coding: str | None
    options: Options
    framed: bool


def representation(request: Request, query: RowsQuery) -> Representation:
    """Raises BadRequest for parameters that contradict each other, and NotAcceptable."""
    if query.format is not None:
        format = FORMATS[query.format]
        media_type = format.media_types[0]
    elif query.framed == "1":
        format, media_type = NDJSON, NDJSON.media_types[0]
    else:
        format, media_type = negotiated(request.headers.get("accept"))
    if query.framed == "1" and format.name not in ("ndjson", "jsonl"):
        raise BadRequest(f"framed=1 has lines of JSON; it is not for format={format.name}")
    if format.name != "csv" and (query.null is not None or query.guard == "1"):
        raise BadRequest(f"null and guard are for format=csv alone, not for {format.name}")
    if query.null is not None and any(mark in query.null for mark in '",\r\n'):
        raise BadRequest(f"null={query.null!r} must have no quote, comma or line end")
    options = Options(query.int64, query.nonfinite, query.null or "", query.guard == "1")
    encoding = coding(request.headers.get("accept-encoding"))
    assert encoding is None or encoding in CODINGS
    return Representation(format, media_type, encoding, options, query.framed == "1")


def question(
    request: Request, dataset: str, schema: Schema, query: Asked, *, descending: bool = False
) -> Question:
    """Raises BadRequest for a column that is unknown, or that conditions may not name."""
    names = query.columns.split(",") if query.columns is not None else None
    where = conditions(request)
    for condition in where:
        if condition.column not in schema.filters:
            known = ", ".join(schema.filters) or "none"
            raise BadRequest(f"{condition}: conditions may name {known}")
    if descending and not schema.descends:
        raise BadRequest(f"order='desc': the dataset {dataset!r} has its rows in ascending order")
    return Question(dataset, schema.version, schema.select(names), where, descending)


def selection(
    source: Source,
    schema: Schema,
    question: Question,
    query: RowsQuery,
    cursors: Cursors,
    snapshot: float,
) -> Selection:
    """Raises BadRequest for a place that is none of these rows, Conflict for another version."""
    if query.version is not None and query.version != schema.version:
        raise Conflict(
            f"version={query.version!r}: the dataset {question.dataset!r} was replaced since, and"
            f" its version is {schema.version} now"
        )
    if query.after is not None and query.cursor is not None:
        raise BadRequest("after and cursor are given: leave one")
    place: Place | None = None
    if query.cursor is not None:
        place = cursors.place(question, query.cursor)
    after = place.after if place else None
    if query.after is not None:
        after = source.key_of(schema, query.after)
    return Selection(
        question.columns,
        after,
        place.until if place else None,
        query.limit,
        question.where,
        question.descending,
        snapshot if query.snapshot == "1" else None,
        query.invalid_utf8,
        # Plain rows have no place to tell that pages of minutes ago are of another state.
        place.state if place and query.framed == "1" else None,
    )
