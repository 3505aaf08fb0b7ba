"""The OpenAPI document of an app: FastAPI's own, corrected where Eddyline does otherwise."""

import functools
import re
from typing import Any

from fastapi import FastAPI
from fastapi.encoders import jsonable_encoder
from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from eddyline.errors import Forbidden, Unauthorized, Unavailable
from eddyline.service.openapi.operation import BEARER, Schema, problem_response, problems

#: The answers of an operation that asks for a token: none, one that grants too little, and no keys
#: to verify it with.
_REFUSALS = problems(Unauthorized, Forbidden, Unavailable)


class Problem(TypedDict):
    """The document of an error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str


def operation_id(route: APIRoute) -> str:
    """The name of the endpoint: generated clients make functions of it."""
    return route.name


def install(app: FastAPI) -> None:
    """Corrects the document when it is first asked for."""
    generate = app.openapi

    @functools.cache
    def document() -> dict[str, Any]:
        return _corrected(generate())

    app.openapi = document  # type: ignore[method-assign]


def _corrected(document: dict[str, Any]) -> dict[str, Any]:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Problem"] = TypeAdapter(Problem).json_schema(mode="serialization")
    schemes = components.setdefault("securitySchemes", {})
    schemes[BEARER.scheme_name] = jsonable_encoder(BEARER.model, exclude_none=True)
    for path, item in document["paths"].items():
        for operation in item.values():
            _name_path_parameters(path, operation)
            for content in operation.get("requestBody", {}).get("content", {}).values():
                content["schema"] = _lifted(content["schema"], schemas)
            _say_refusals(operation)
    return document


def _name_path_parameters(path: str, operation: dict[str, Any]) -> None:
    """A raw route's path has parameters of which FastAPI knows nothing."""
    parameters = operation.get("parameters", [])
    named = {each["name"] for each in parameters if each["in"] == "path"}
    missing = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", path)
        if name not in named
    ]
    if missing:
        operation["parameters"] = missing + parameters


def _lifted(schema: Schema, schemas: dict[str, Schema]) -> Schema:
    """An object with a title becomes a component: generated clients then name its type."""
    if schema.get("type") == "object" and "title" in schema:
        schemas[schema["title"]] = schema
        return {"$ref": f"#/components/schemas/{schema['title']}"}
    if "oneOf" in schema:
        return schema | {"oneOf": [_lifted(one, schemas) for one in schema["oneOf"]]}
    if "items" in schema:
        return schema | {"items": _lifted(schema["items"], schemas)}
    return schema


def _say_refusals(operation: dict[str, Any]) -> None:
    """A token is asked for, unless the route says another `security`; errors are problems."""
    responses = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422")):
        responses["422"] = problem_response("A parameter has a bad value")
    if operation.setdefault("security", [{BEARER.scheme_name: []}]):
        responses.update({str(s): r for s, r in _REFUSALS.items() if str(s) not in responses})
    operation["responses"] = dict(sorted(responses.items()))
