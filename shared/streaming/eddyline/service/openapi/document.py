"""The OpenAPI document of an app: FastAPI's own, corrected where Eddyline does otherwise."""

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from eddyline.errors import Forbidden, Unauthorized, Unavailable
from eddyline.service.openapi.operation import Schema, problem_response, problems
from eddyline.service.problems import Problem

BEARER = "bearer"
_BEARER_SCHEME = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}

#: The answers of an operation that asks for a token: none, one that grants too little, and no keys
#: to verify it with.
_REFUSALS = problems(Unauthorized, Forbidden, Unavailable)


def operation_id(route: APIRoute) -> str:
    """The name of the endpoint: generated clients make functions of it."""
    return route.name


def install(app: FastAPI, schemes: Mapping[str, Schema], models: Sequence[type]) -> None:
    """`schemes` are ways to authenticate beside bearer tokens; `models` are items of streams."""
    generate = app.openapi

    @functools.cache
    def document() -> dict[str, Any]:
        return _corrected(generate(), schemes, models)

    app.openapi = document  # type: ignore[method-assign]


def _corrected(
    document: dict[str, Any], schemes: Mapping[str, Schema], models: Sequence[type]
) -> dict[str, Any]:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas.update(_schemas([Problem, *models]))
    components["securitySchemes"] = {BEARER: _BEARER_SCHEME, **schemes}
    for path, item in document["paths"].items():
        for operation in item.values():
            _name_path_parameters(path, operation)
            _say_refusals(operation)
    return document


def _schemas(models: Sequence[type]) -> dict[str, Schema]:
    mode: JsonSchemaMode = "serialization"
    adapters = [(model, mode, TypeAdapter[Any](model)) for model in models]
    template = "#/components/schemas/{model}"
    _, found = TypeAdapter.json_schemas(adapters, ref_template=template)
    return dict(found["$defs"])


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


def _say_refusals(operation: dict[str, Any]) -> None:
    """A token is asked for, unless the route says another `security`; errors are problems."""
    responses = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422")):
        responses["422"] = problem_response("A parameter has a bad value")
    if operation.setdefault("security", [{BEARER: []}]):
        responses.update({str(s): r for s, r in _REFUSALS.items() if str(s) not in responses})
    operation["responses"] = dict(sorted(responses.items()))
