"""Clients that know user and password alone."""

import base64
from collections.abc import Awaitable, Callable
from typing import Any

import jwt
import pytest

from eddyline.testing import Stream

Serve = Callable[..., Any]
Fetch = Callable[..., Awaitable[Stream]]
KEY = "k" * 32
TOKEN = jwt.encode({"exp": 2**32, "scope": "downloads:read:sub/*"}, KEY, "HS256")
OTHER = jwt.encode({"exp": 2**32, "scope": "downloads:read:a.txt"}, KEY, "HS256")
EXPIRED = jwt.encode({"exp": 1, "scope": "downloads:read"}, KEY, "HS256")

ROUTES = ["/download/sub/b.txt", "/static/sub/b.txt", "/download/sub/", "/files"]


def basic(pair: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


@pytest.mark.parametrize("route", [*ROUTES, "/archive/sub/SHA256SUMS"])
async def test_a_token_is_a_password(serve: Serve, fetch: Fetch, route: str) -> None:
    """RFC 7617; `curl -u`, wget, pip."""
    async with serve(auth_key=KEY) as run:
        for pair in (f"anybody:{TOKEN}", f"{TOKEN}:", f":{TOKEN}"):
            assert (await fetch(run.url + route, headers=basic(pair))).status == 200


@pytest.mark.parametrize("route", ROUTES)
async def test_clients_are_told_both_ways(serve: Serve, fetch: Fetch, route: str) -> None:
    async with serve(auth_key=KEY) as run:
        challenge = 'Bearer realm="eddyline", Basic realm="eddyline", charset="UTF-8"'
        for headers in ({}, basic(f"x:{EXPIRED}"), basic("x:y"), {"Authorization": "Basic ?"}):
            stream = await fetch(run.url + route, headers=headers)
            assert (stream.status, stream.headers["www-authenticate"]) == (401, challenge)


async def test_a_password_has_the_scopes_of_its_token(serve: Serve, fetch: Fetch) -> None:
    async with serve(auth_key=KEY) as run:
        stream = await fetch(f"{run.url}/download/sub/b.txt", headers=basic(f"x:{OTHER}"))
        assert stream.status == 403
        assert TOKEN not in str(await stream.body())


async def test_another_scheme_is_refused(serve: Serve, fetch: Fetch) -> None:
    async with serve(auth_key=KEY) as run:
        headers = {"Authorization": f"Digest {TOKEN}"}
        assert (await fetch(f"{run.url}/download/sub/b.txt", headers=headers)).status == 401
