"""CORS of every service: answers that pages of listed origins may read, and the rest of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import APIRouter, Request, Response

from eddyline.errors import NotFound
from eddyline.service.app import Context, Service, create_app
from eddyline.service.raw_route import RawRoute
from eddyline.service.settings import Settings
from eddyline.testing import running

PAGE = "https://app.example"
OTHER = "https://other.example"


def demo() -> Service:
    router = APIRouter()

    async def raw(request: Request) -> Response:
        match request.path_params["name"]:
            case "none":
                raise NotFound("there is no such name")
            case "crash":
                raise ValueError("a secret")
        return Response(request.path_params["name"], headers={"Vary": "Accept"})

    router.add_api_route("/raw/{name}", raw, route_class_override=RawRoute)

    @router.get("/number")
    async def number(n: int) -> int:
        return n

    return Service("demo", router)


@asynccontextmanager
async def client_of(*origins: str) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Context.from_settings(Settings(cors_origins=origins)), [demo()], "Demo")
    async with running(app) as server, httpx.AsyncClient(base_url=server.url) as client:
        yield client


async def preflight(client: httpx.AsyncClient, origin: str, **asked: str) -> httpx.Response:
    headers = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    headers |= {f"Access-Control-Request-{name}": value for name, value in asked.items()}
    return await client.options("/raw/a", headers=headers)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/raw/a", 200),
        ("/raw/none", 404),
        ("/raw/crash", 500),
        ("/number?n=1", 200),
        ("/number?n=x", 422),
        ("/nowhere", 404),
        ("/livez", 200),
        ("/metrics", 200),
        ("/openapi.json", 200),
    ],
)
async def test_a_listed_origin_may_read_every_answer(path: str, status: int) -> None:
    async with client_of(PAGE) as client:
        answer = await client.get(path, headers={"Origin": PAGE})
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert answer.headers["access-control-allow-credentials"] == "true"
        exposed = answer.headers["access-control-expose-headers"].split(", ")
        assert {"X-Request-ID", "Retry-After", "Content-Range", "ETag", "Link"} <= {*exposed}
        for headers in ({"Origin": PAGE}, {"Origin": OTHER}, {}):
            vary = (await client.get(path, headers=headers)).headers["vary"]
            assert vary.split(", ")[-1] == "Origin", "a cache would mix up origins"


@pytest.mark.parametrize("origin", [OTHER, "null", "*", PAGE + ".evil", PAGE.upper()])
async def test_another_origin_may_read_none(origin: str) -> None:
    async with client_of(PAGE) as client:
        for answer in (
            await client.get("/raw/a", headers={"Origin": origin}),
            await preflight(client, origin),
        ):
            assert "access-control-allow-origin" not in answer.headers
            assert "access-control-allow-credentials" not in answer.headers
        assert answer.status_code == 400


async def test_a_preflight_is_told_what_may_be_sent() -> None:
    async with client_of(PAGE) as client:
        answer = await preflight(client, PAGE, Headers="authorization,last-event-id,range")
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert answer.headers["access-control-max-age"] == "7200"
        assert "DELETE" in answer.headers["access-control-allow-methods"].split(", ")
        assert (await preflight(client, PAGE, Headers="x-made-up")).status_code == 400


async def test_a_star_lets_any_origin_read_without_cookies() -> None:
    async with client_of("*", PAGE) as client:
        for answer in (
            await client.get("/raw/a", headers={"Origin": OTHER, "Cookie": "session=1"}),
            await preflight(client, OTHER),
        ):
            assert answer.headers["access-control-allow-origin"] == "*"
            assert "access-control-allow-credentials" not in answer.headers
        listed = await client.get("/raw/a", headers={"Origin": PAGE})
        assert listed.headers["access-control-allow-origin"] == PAGE
        assert listed.headers["access-control-allow-credentials"] == "true"


async def test_without_the_setting_there_is_no_cors() -> None:
    async with client_of() as client:
        answer = await client.get("/raw/a", headers={"Origin": PAGE})
        assert answer.headers["vary"] == "Accept"
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert (await preflight(client, PAGE)).status_code == 405
