"""The stream, from a real server."""

import json
import time
from collections.abc import Iterable

import jwt
import pytest

from eddyline.testing import fetch, running
from eddyline_sample.app import create_app
from eddyline_sample.settings import SampleSettings

KEY = "0123456789abcdef" * 4


def values(body: bytes) -> Iterable[int]:
    return [json.loads(line)["number"] for line in body.splitlines()]


def bearer(scope: str) -> dict[str, str]:
    claims = {"sub": "test", "scope": scope, "exp": time.time() + 60}
    return {"Authorization": f"Bearer {jwt.encode(claims, KEY)}"}


async def test_every_number_comes_on_a_line_of_its_own() -> None:
    async with running(create_app(SampleSettings(last=5, interval=0))) as server:
        async with await fetch(server.url + "/sample") as stream:
            assert stream.headers["content-type"] == "application/x-ndjson"
            assert values(await stream.body()) == [1, 2, 3, 4, 5]
            assert stream.clean


async def test_a_client_goes_on_after_its_last_number() -> None:
    async with running(create_app(SampleSettings(last=5, interval=0))) as server:
        async with await fetch(server.url + "/sample?after=3") as stream:
            assert values(await stream.body()) == [4, 5]


async def test_a_stream_gives_its_permit_back() -> None:
    settings = SampleSettings(last=2, interval=0, limit_streams=1)
    async with running(create_app(settings)) as server:
        for _ in range(3):
            async with await fetch(server.url + "/sample") as stream:
                assert stream.status == 200
                await stream.body()


@pytest.mark.parametrize(("scope", "status"), [("sample:read", 200), ("other:read", 403)])
async def test_a_token_needs_the_scope(scope: str, status: int) -> None:
    settings = SampleSettings(last=1, interval=0, auth_key=KEY)
    async with running(create_app(settings)) as server:
        async with await fetch(server.url + "/sample", headers=bearer(scope)) as stream:
            assert stream.status == status
