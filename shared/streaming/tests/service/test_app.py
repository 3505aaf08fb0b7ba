import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from eddyline.service.app import Context, Service, create_app
from eddyline.service.settings import Settings
from eddyline.testing import running


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def app_of(*services: Service) -> FastAPI:
    return create_app(Context.from_settings(Settings(drain_window=0.1)), services, "Demo")


@asynccontextmanager
async def client_of(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with running(app) as server, httpx.AsyncClient(base_url=server.url) as client:
        yield client


def crashing(path: str = "/crash") -> Service:
    router = APIRouter()

    @router.get(path)
    async def crash() -> None:
        open("/srv/secret/path")  # noqa: SIM115

    return Service("crashing", router)


async def test_every_app_says_how_it_is() -> None:
    async with client_of(app_of()) as client:
        assert (await client.get("/livez")).json() == {"status": "alive"}
        assert (await client.get("/readyz")).json() == {"status": "ready", "faults": {}}
        metrics = await client.get("/metrics")
        assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert "# TYPE eddyline_streams_open gauge" in metrics.text
        assert (await client.get("/openapi.json")).json()["info"]["title"] == "Demo"


async def test_readyz_names_each_service_that_is_not_ready() -> None:
    faults: list[str | None] = ["Redis is away"]
    app = app_of(
        Service("events", APIRouter(), ready=lambda: faults[0]), Service("logs", APIRouter())
    )
    async with client_of(app) as client:
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["faults"]) == (503, {"events": "Redis is away"})
        faults[0] = None
        assert (await client.get("/readyz")).status_code == 200


async def test_a_draining_app_is_alive_and_not_ready() -> None:
    app = app_of()
    async with client_of(app) as client:
        app.state.context.drain.draining = True
        answer = await client.get("/readyz")
        assert (answer.status_code, "drain" in answer.json()["faults"]) == (503, True)
        assert (await client.get("/livez")).status_code == 200


async def test_what_runs_beside_the_routes_starts_in_order_and_stops_in_reverse() -> None:
    told: list[str] = []

    def background(name: str) -> Callable[[], Any]:
        @asynccontextmanager
        async def life() -> AsyncIterator[None]:
            told.append(f"{name} starts")
            yield
            told.append(f"{name} stops")

        return life

    services = [Service(name, APIRouter(), background(name)) for name in ("a", "b")]
    async with client_of(app_of(*services)):
        assert told == ["a starts", "b starts"]
    assert told[2:] == ["b stops", "a stops"]


async def test_each_answer_has_an_id_which_the_log_has_too(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async with client_of(app_of()) as client:
        named = await client.get("/nowhere?token=s3cr3t", headers={"X-Request-ID": "mine-1"})
        other = await client.get("/nowhere", headers={"X-Request-ID": 'bad"id'})
    assert named.headers["x-request-id"] == "mine-1"
    assert named.json()["instance"] == "urn:request:mine-1"
    assert other.headers["x-request-id"] not in ("", 'bad"id')
    logged = capfd.readouterr().err
    assert "s3cr3t" not in logged
    assert [line["request_id"] for line in access_lines(logged)] == [
        "mine-1",
        other.headers["x-request-id"],
    ]


async def test_a_crash_is_logged_with_its_id_and_tells_the_client_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async with client_of(app_of(crashing())) as client:
        answer = await client.get("/crash")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.json()["instance"] == f"urn:request:{answer.headers['x-request-id']}"
    logged = capfd.readouterr().err
    (line,) = access_lines(logged)
    assert (line["status"], line["request_id"]) == (500, answer.headers["x-request-id"])
    assert "/srv/secret/path" in logged


async def test_a_crash_after_the_head_breaks_the_answer_off() -> None:
    async def half(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("the disk failed")

    app = app_of()
    app.mount("/half", half)
    async with client_of(app) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/half/")


async def test_logs_are_json_before_anything_warns(capfd: pytest.CaptureFixture[str]) -> None:
    Context.from_settings(Settings())
    warned = json.loads(capfd.readouterr().err)
    assert (warned["level"], "authentication is off" in warned["message"]) == ("warning", True)


async def test_requests_do_not_wait_for_each_other() -> None:
    router, gate = APIRouter(), asyncio.Event()

    @router.get("/wait")
    async def wait() -> None:
        await gate.wait()

    async with client_of(app_of(Service("slow", router))) as client:
        slow = asyncio.create_task(client.get("/wait"))
        assert (await client.get("/livez")).status_code == 200
        gate.set()
        assert (await slow).status_code == 200


def access_lines(logged: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in logged.splitlines()]
    return [line for line in lines if line["logger"] == "eddyline.access"]
