import asyncio
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, HTTPException, Query
from prometheus_client import REGISTRY
from pydantic import BaseModel, ConfigDict

from eddyline import errors
from eddyline.connection.refusal import soft_refusal
from eddyline.service import problems
from eddyline.telemetry import metrics
from eddyline.wire import sse

EVENTS = {"Accept": "text/event-stream"}


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sizes: list[int] = []


def app_raising(error: Exception | None = None) -> FastAPI:
    app = FastAPI()
    problems.install(app)

    @app.get("/raise")
    async def fail() -> None:
        if error is not None:
            raise error

    @app.post("/check")
    async def check(body: Body, limit: int = Query(default=1, ge=1, le=100)) -> None: ...

    return app


async def ask(
    app: FastAPI, path: str = "/raise", method: str = "GET", **options: Any
) -> httpx.Response:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.request(method, path, **options)


async def test_problems_are_counted_by_status() -> None:
    labels = {"status": "404"}
    before = REGISTRY.get_sample_value("eddyline_problems_total", labels) or 0
    await ask(app_raising(), "/nowhere")
    assert REGISTRY.get_sample_value("eddyline_problems_total", labels) == before + 1


def soft_refusals() -> float:
    return next(iter(metrics.soft_refusals.collect())).samples[0].value


@pytest.mark.parametrize(
    "error",
    [
        errors.BadRequest("limit=-1: expected 1 to 100"),
        errors.Forbidden("the scope events:publish is missing"),
        errors.NotFound("there is no topic 'a'"),
        errors.TooLarge("2000 bytes: 1000 are allowed"),
        errors.UpstreamError("the model server answered 500"),
    ],
)
async def test_an_error_is_a_problem_document(error: errors.StreamingError) -> None:
    answer = await ask(app_raising(error))
    assert answer.status_code == error.status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "instance": "urn:request:-",
    }


async def test_who_is_unknown_is_told_how_to_say_who_he_is() -> None:
    answer = await ask(app_raising(errors.Unauthorized("a bearer token is needed")))
    assert answer.headers["www-authenticate"] == 'Bearer realm="eddyline"'


@pytest.mark.parametrize(
    ("error", "status"),
    [(errors.Unavailable("stopping", 2.1), 503), (errors.Overloaded("full", 2.1), 429)],
)
async def test_not_now_says_when(error: errors.Unavailable, status: int) -> None:
    answer = await ask(app_raising(error))
    assert (answer.status_code, answer.headers["retry-after"]) == (status, "3")
    assert answer.json()["detail"] == error.detail


@pytest.mark.parametrize(
    "accept", ["text/event-stream", "Text/Event-Stream", "a/b, text/event-stream"]
)
async def test_an_event_source_is_put_off_softly(accept: str) -> None:
    before = soft_refusals()
    answer = await ask(app_raising(errors.Overloaded("full", 4.0)), headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-cache, no-transform"
    parser = sse.Parser()
    assert list(parser.feed(answer.content)) == []
    assert parser.retry is not None
    assert 2000 <= parser.retry <= 6000
    assert soft_refusals() == before + 1


@pytest.mark.parametrize(("retry_after", "bounds"), [(0.0, (2000, 2000)), (900, (30000, 30000))])
async def test_a_soft_refusal_is_never_shorter_or_longer_than_the_contract(
    retry_after: float, bounds: tuple[int, int]
) -> None:
    parser = sse.Parser()
    list(parser.feed(bytes(soft_refusal(retry_after).body)))
    assert parser.retry in range(bounds[0], bounds[1] + 1)


async def test_soft_refusals_are_spread() -> None:
    bodies = {bytes(soft_refusal(10.0).body) for _ in range(50)}
    assert len(bodies) > 25


async def test_an_event_source_hears_of_its_own_mistakes() -> None:
    answer = await ask(app_raising(errors.Forbidden("no")), headers=EVENTS)
    assert answer.status_code == 403


@pytest.mark.parametrize("error", [OSError(2, "No such file", "/srv/secret"), KeyError("secret")])
async def test_a_crash_tells_nothing(error: Exception) -> None:
    answer = await ask(app_raising(error))
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == "the server failed; its log has the cause"
    assert "secret" not in answer.text


async def test_an_error_that_is_for_no_client_tells_nothing() -> None:
    answer = await ask(app_raising(errors.SettingsError("/srv/secret is not there")))
    assert answer.status_code == 500
    assert "secret" not in answer.text


async def test_an_unknown_path_is_named() -> None:
    answer = await ask(app_raising(), "/no%20such%3F")
    assert (answer.status_code, answer.json()["title"]) == (404, "Not found")
    assert answer.json()["detail"] == "there is nothing at '/no such?'"


@pytest.mark.parametrize("host", ["[", "[::1", "a/b?c", "", "é"])
async def test_an_unknown_path_is_named_whatever_the_host(host: str) -> None:
    answer = await ask(app_raising(), "/none", headers={"Host": host.encode("latin-1")})
    assert (answer.status_code, answer.json()["detail"]) == (404, "there is nothing at '/none'")


async def test_a_long_path_is_not_repeated_in_full() -> None:
    answer = await ask(app_raising(), "/" + "x" * 50_000)
    assert answer.status_code == 404
    assert len(answer.content) < 1000


async def test_a_wrong_method_says_which_are_right() -> None:
    answer = await ask(app_raising(), method="DELETE")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert answer.json()["title"] == "Method Not Allowed"
    assert answer.json()["detail"] == "'/raise' takes GET, not DELETE"


async def test_all_methods_of_a_path_are_named() -> None:
    app = app_raising()
    router = APIRouter()
    router.add_api_route("/raise", lambda: None, methods=["POST"])
    app.include_router(router)
    answer = await ask(app, method="DELETE")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
    assert answer.json()["detail"] == "'/raise' takes GET, POST, not DELETE"


async def test_a_route_s_own_404_keeps_its_text() -> None:
    answer = await ask(app_raising(HTTPException(404, "no generation 'g1'")))
    assert answer.json()["detail"] == "no generation 'g1'"


async def test_a_bad_value_is_named_with_what_would_be_right() -> None:
    answer = await ask(app_raising(), "/check?limit=500", "POST", json={})
    assert answer.status_code == 422
    assert "query.limit" in answer.json()["detail"]
    assert "less than or equal to 100 (got '500')" in answer.json()["detail"]


async def test_a_thousand_bad_values_make_a_short_answer() -> None:
    answer = await ask(app_raising(), "/check", "POST", json={"sizes": ["x" * 1000] * 1000})
    assert answer.status_code == 422
    assert answer.json()["detail"].endswith("and 990 more")
    assert len(answer.content) < 4000


@pytest.mark.parametrize("body", [b'{"\\ud800": 1}', b'{"sizes": ["\\ud800"]}', b"{", b"\xff"])
async def test_an_odd_body_is_refused_and_crashes_nothing(body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await ask(app_raising(), "/check", "POST", content=body, headers=headers)
    assert answer.status_code in (400, 422)
    assert answer.json()["status"] == answer.status_code


async def test_a_file_name_that_is_not_utf8_can_be_named() -> None:
    answer = await ask(app_raising(errors.NotFound("there is no file a\udcff")))
    assert (answer.status_code, answer.json()["detail"]) == (404, r"there is no file a\udcff")


async def test_problems_can_be_made_side_by_side() -> None:
    app = app_raising(errors.NotFound("there is no topic 'a'"))
    answers = await asyncio.gather(*(ask(app) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {404}
