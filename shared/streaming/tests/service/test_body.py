import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import APIRouter, Request, Response

from eddyline.service.app import Context, Service, create_app
from eddyline.service.body import at_most, read_body
from eddyline.service.raw_route import RawRoute
from eddyline.service.settings import Settings
from eddyline.testing import PATIENCE, Running, running

LIMIT = 1000


@pytest.fixture
async def echo() -> AsyncIterator[Running]:
    """A server that answers each body with itself."""

    async def answer(request: Request) -> Response:
        return Response(await read_body(request, at_most(LIMIT, f"only {LIMIT} bytes")))

    router = APIRouter()
    router.add_api_route("/echo", answer, methods=["POST"], route_class_override=RawRoute)
    app = create_app(Context.from_settings(Settings()), [Service("demo", router)], "Demo")
    async with running(app) as server:
        yield server


async def pieces(*bodies: bytes) -> AsyncIterator[bytes]:
    for body in bodies:
        yield body


async def post(server: Running, body: bytes | AsyncIterator[bytes]) -> httpx.Response:
    """A body of bytes has a length, one of pieces is chunked."""
    async with httpx.AsyncClient(base_url=server.url) as client:
        return await client.post("/echo", content=body)


async def test_a_body_up_to_the_limit_is_read_whole(echo: Running) -> None:
    assert (await post(echo, b"x" * LIMIT)).content == b"x" * LIMIT
    assert (await post(echo, pieces(b"a" * 400, b"b" * 600))).content == b"a" * 400 + b"b" * 600
    assert (await post(echo, b"")).content == b""


async def test_a_body_above_the_limit_is_refused_however_it_is_framed(echo: Running) -> None:
    for body in (b"x" * (LIMIT + 1), pieces(b"a" * 400, b"b" * 601)):
        answer = await post(echo, body)
        assert (answer.status_code, answer.json()["detail"]) == (413, "only 1000 bytes")


async def test_a_chunked_body_is_refused_before_it_ends(echo: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", echo.port)
    writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    writer.write(b"3e9\r\n" + b"x" * (LIMIT + 1) + b"\r\n")
    status = await asyncio.wait_for(reader.readline(), PATIENCE)
    assert status.startswith(b"HTTP/1.1 413 ")
    writer.close()
    await writer.wait_closed()
