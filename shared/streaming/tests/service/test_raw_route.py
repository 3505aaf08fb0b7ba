from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, HTTPException, Request, Response

from eddyline.errors import NotFound
from eddyline.service.app import Context, Service, create_app
from eddyline.service.raw_route import RawRoute
from eddyline.service.settings import Settings
from eddyline.testing import running


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    router = APIRouter()

    async def answer(request: Request) -> Response:
        match request.path_params["name"]:
            case "none":
                raise NotFound("there is no such name")
            case "teapot":
                raise HTTPException(418, "I am a teapot")
            case "crash":
                raise ValueError("a secret")
        return Response(request.path_params["name"])

    async def not_reached(name: str) -> str:
        return name

    documented: dict[str, Any] = {"parameters": [{"name": "name", "in": "path"}]}
    router.add_api_route("/raw/{name}", not_reached)
    router.add_api_route(
        "/raw/{name}", answer, openapi_extra=documented, route_class_override=RawRoute
    )
    app = create_app(Context.from_settings(Settings()), [Service("demo", router)], "Demo")
    async with running(app) as server, httpx.AsyncClient(base_url=server.url) as client:
        yield client


async def test_answers_before_every_other_route(client: httpx.AsyncClient) -> None:
    answer = await client.get("/raw/a")
    assert (answer.status_code, answer.text) == (200, "a")
    assert answer.headers["x-request-id"]


async def test_expected_errors_are_problems(client: httpx.AsyncClient) -> None:
    answer = await client.get("/raw/none")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "there is no such name"
    assert answer.json()["instance"] == f"urn:request:{answer.headers['x-request-id']}"
    answer = await client.get("/raw/teapot")
    assert (answer.status_code, answer.json()["title"]) == (418, "I am a teapot")


async def test_a_crash_tells_nothing(client: httpx.AsyncClient) -> None:
    answer = await client.get("/raw/crash")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert (await client.get("/raw/b")).text == "b"


async def test_another_method_or_path_goes_on_to_fastapi(client: httpx.AsyncClient) -> None:
    assert (await client.post("/raw/a")).status_code == 405
    assert (await client.get("/raw")).status_code == 404
    assert (await client.get("/livez")).status_code == 200


async def test_is_documented(client: httpx.AsyncClient) -> None:
    operation = (await client.get("/openapi.json")).json()["paths"]["/raw/{name}"]["get"]
    assert operation["parameters"] == [{"name": "name", "in": "path"}]


async def test_is_answered_before_fastapi_looks_for_a_route_also_of_an_included_router() -> None:
    async def passed(request: Request) -> Response:
        return Response(str("router" in request.scope))  # Starlette's router leaves it there

    inner, outer = APIRouter(), APIRouter()
    inner.add_api_route("/inner", passed, route_class_override=RawRoute)
    outer.add_api_route("/outer", passed, route_class_override=RawRoute)
    outer.include_router(inner)
    app = create_app(Context.from_settings(Settings()), [Service("demo", outer)], "Demo")
    async with running(app) as server, httpx.AsyncClient(base_url=server.url) as client:
        assert (await client.get("/outer")).text == "False"
        assert (await client.get("/inner")).text == "False"
