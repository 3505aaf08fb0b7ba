"""Pieces of OpenAPI that a route states itself: parameters, streams, problems.

The items of a stream are documented by `response_model=`, with `response_class=Response`: FastAPI
then lists their types, and `ref` names them. Other ways to authenticate than a bearer token are
documented by `dependencies=[Security(BEARER), Security(…)]` of a raw route, which solves none.
"""

from typing import Any

from fastapi.security import HTTPBearer
from typing_extensions import TypedDict

from eddyline.errors import Overloaded, StreamingError, Unauthorized, Unavailable
from eddyline.journal.base import Gap

Schema = dict[str, Any]
#: The form that FastAPI's `responses=` takes.
Responses = dict[int | str, dict[str, Any]]

PROBLEM_JSON = "application/problem+json"

#: The way to authenticate of every operation that names no other.
BEARER = HTTPBearer(bearerFormat="JWT", scheme_name="bearer", auto_error=False)

#: `openapi_extra` of a route that asks for no token.
PUBLIC: dict[str, Any] = {"security": []}

#: A query parameter that is 1 or 0.
FLAG: Schema = {"type": "integer", "enum": [0, 1], "default": 0}


class Reset(TypedDict):
    """Events are missing before this place. `oldest` is the oldest cursor that can be resumed."""

    reason: Gap
    oldest: str


def ref(model: type) -> Schema:
    """The schema of a model that a route names as its `response_model`, or as a part of that."""
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def parameter(
    name: str, schema: Schema, text: str, where: str = "query", *, required: bool = False
) -> dict[str, Any]:
    """A parameter for `openapi_extra`: of a raw route, where FastAPI parses none."""
    about = {"name": name, "in": where, "schema": schema, "description": text}
    return about | ({"required": True} if required else {})


def stream(media_type: str, item: Schema) -> dict[str, Any]:
    """The content of a stream: a text, and the schema of the items that a client parses from it.

    OpenAPI 3.1 has no `itemSchema` (3.2 does); JSON Schema's `contentSchema` says the same.
    """
    items = {"type": "array", "items": item}
    text = {"type": "string", "contentMediaType": media_type, "contentSchema": items}
    return {media_type: {"schema": text}}


def event(data: Schema | None = None, **fields: Schema) -> Schema:
    """A server-sent event. `data` is the schema of its data where that is JSON; `fields` narrow the
    others: `id`, `event`, `retry`.
    """
    text: Schema = {"type": "string"}
    if data is not None:
        text |= {"contentMediaType": "application/json", "contentSchema": data}
    known: dict[str, Schema] = {
        "id": {"type": "string"},
        "event": {"type": "string"},
        "data": text,
        "retry": {"type": "integer", "minimum": 0},
    }
    return {"type": "object", "properties": known | fields}


def problems(*errors: type[StreamingError]) -> Responses:
    """The problem documents that a route answers with, for the errors that it may raise."""
    return {error.status: _response(error) for error in errors}


def problem_response(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": description, "content": {PROBLEM_JSON: {"schema": schema}}}


def _response(error: type[StreamingError]) -> dict[str, Any]:
    response = problem_response(error.title)
    if issubclass(error, Unavailable):
        seconds = {"type": "integer", "minimum": 0}
        text = "Seconds after which the client may ask again."
        response["headers"] = {"Retry-After": {"schema": seconds, "description": text}}
    if issubclass(error, Unauthorized):
        response["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return response


#: The event of a broadcast's stream (`eddyline.broadcast.formats`) that tells of a gap.
RESET_EVENT = event(ref(Reset), event={"const": "eddyline.reset"})

#: The refusals of a stream: a limit is reached, or the process stops.
ADMISSION = problems(Overloaded, Unavailable)
