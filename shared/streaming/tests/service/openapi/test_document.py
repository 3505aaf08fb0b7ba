from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Request, Response, Security
from fastapi.security import APIKeyQuery
from typing_extensions import TypedDict

from eddyline.errors import NotFound, Overloaded
from eddyline.service.app import Context, Service, create_app
from eddyline.service.openapi.operation import BEARER, PUBLIC, event, problems, ref, stream
from eddyline.service.raw_route import RawRoute
from eddyline.service.settings import Settings
from eddyline.testing import running
from eddyline.wire.sse import EVENT_STREAM

TICKET = APIKeyQuery(name="ticket", scheme_name="ticket")


class Line(TypedDict):
    text: str


class Answer(TypedDict):
    lines: list[Line]


async def read_lines(request: Request) -> Response:
    """Lines as they come."""
    return Response()


async def read_page(number: int) -> Answer:
    return {"lines": []}


async def send_line(request: Request) -> Response:
    return Response()


async def about() -> dict[str, str]:
    return {}


def demo() -> Service:
    router = APIRouter()
    router.add_api_route(
        "/lines/{folder}/{path:path}",
        read_lines,
        route_class_override=RawRoute,
        response_class=Response,
        response_model=Line,
        responses={200: {"content": stream(EVENT_STREAM, event(ref(Line)))}}
        | problems(NotFound, Overloaded),
        dependencies=[Security(BEARER), Security(TICKET)],
    )
    router.add_api_route("/page", read_page)
    title = {"title": "Sent", "type": "object", "properties": {"text": {"type": "string"}}}
    body = {"schema": {"oneOf": [title, {"type": "array", "items": title}]}}
    router.add_api_route(
        "/page",
        send_line,
        methods=["POST"],
        route_class_override=RawRoute,
        openapi_extra={"requestBody": {"content": {"application/json": body}}},
    )
    router.add_api_route("/about", about, openapi_extra=PUBLIC)
    return Service("demo", router)


@pytest.fixture
async def document() -> dict[str, Any]:
    """Asked for twice: it is corrected once."""
    app = create_app(Context.from_settings(Settings()), [demo()], "Demo")
    async with running(app) as server, httpx.AsyncClient(base_url=server.url) as client:
        [first, second] = [(await client.get("/openapi.json")).json() for _ in range(2)]
    assert first == second
    found: dict[str, Any] = first
    return found


def operation(document: dict[str, Any], path: str) -> dict[str, Any]:
    found: dict[str, Any] = document["paths"][path]["get"]
    return found


def test_an_operation_is_named_as_its_endpoint(document: dict[str, Any]) -> None:
    ids = {path: operation(document, path)["operationId"] for path in document["paths"]}
    assert ids == {
        "/lines/{folder}/{path}": "read_lines",
        "/page": "read_page",
        "/about": "about",
        "/livez": "livez",
        "/readyz": "readyz",
        "/metrics": "prometheus_metrics",
    }


def test_a_token_is_asked_for_unless_the_route_says_otherwise(document: dict[str, Any]) -> None:
    assert operation(document, "/page")["security"] == [{"bearer": []}]
    assert operation(document, "/about")["security"] == []
    lines = operation(document, "/lines/{folder}/{path}")
    assert lines["security"] == [{"bearer": []}, {"ticket": []}]
    schemes = document["components"]["securitySchemes"]
    assert schemes["bearer"] == {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    assert schemes["ticket"] == {"type": "apiKey", "in": "query", "name": "ticket"}


def test_errors_are_problems(document: dict[str, Any]) -> None:
    assert list(operation(document, "/page")["responses"]) == ["200", "401", "403", "422", "503"]
    assert list(operation(document, "/about")["responses"]) == ["200"]
    lines = operation(document, "/lines/{folder}/{path}")["responses"]
    assert list(lines) == ["200", "401", "403", "404", "429", "503"]
    for path in ("/page", "/lines/{folder}/{path}"):
        for status, response in operation(document, path)["responses"].items():
            if status != "200":
                problem = response["content"]["application/problem+json"]
                assert problem == {"schema": {"$ref": "#/components/schemas/Problem"}}
    assert set(lines["429"]["headers"]) == {"Retry-After"}
    assert set(lines["401"]["headers"]) == {"WWW-Authenticate"}
    schemas = document["components"]["schemas"]
    assert set(schemas["Problem"]["required"]) == {"type", "title", "status", "detail", "instance"}
    assert "HTTPValidationError" not in schemas


def test_a_stream_says_its_items(document: dict[str, Any]) -> None:
    response = operation(document, "/lines/{folder}/{path}")["responses"]["200"]
    text = response["content"][EVENT_STREAM]["schema"]
    assert (text["type"], text["contentMediaType"]) == ("string", EVENT_STREAM)
    data = text["contentSchema"]["items"]["properties"]["data"]
    assert data["contentSchema"] == {"$ref": "#/components/schemas/Line"}
    assert document["components"]["schemas"]["Line"]["required"] == ["text"]


def test_the_parameters_of_a_raw_routes_path_are_named(document: dict[str, Any]) -> None:
    parameters = operation(document, "/lines/{folder}/{path}")["parameters"]
    assert [(p["name"], p["in"], p["required"]) for p in parameters] == [
        ("folder", "path", True),
        ("path", "path", True),
    ]


def test_the_object_of_a_body_is_a_component(document: dict[str, Any]) -> None:
    body = document["paths"]["/page"]["post"]["requestBody"]["content"]["application/json"]
    sent = {"$ref": "#/components/schemas/Sent"}
    assert body["schema"] == {"oneOf": [sent, {"type": "array", "items": sent}]}
    assert "text" in document["components"]["schemas"]["Sent"]["properties"]


async def test_a_problem_is_as_its_schema_says(document: dict[str, Any]) -> None:
    app = create_app(Context.from_settings(Settings()), [demo()], "Demo")
    async with running(app) as server, httpx.AsyncClient(base_url=server.url) as client:
        problem = (await client.get("/page?number=x")).json()
    assert set(problem) == set(document["components"]["schemas"]["Problem"]["properties"])
