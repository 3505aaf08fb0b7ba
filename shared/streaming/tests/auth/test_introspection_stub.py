"""A newcomer's verifier: opaque tokens, about which a server is asked (RFC 7662).

It is one class, and one line that hands it to the app. Its tests are the contract, and an app.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import parse_qs

import httpx
import orjson
import pytest
from fastapi import APIRouter

from eddyline.errors import Unauthorized, Unavailable
from eddyline.service.access import Caller
from eddyline.service.app import Context, Service, create_app
from eddyline.service.settings import Settings
from eddyline.testing import fetch, running
from eddyline.testing.server import serving
from eddyline.testing.verifier_contract import *  # noqa: F403
from eddyline.testing.verifier_contract import Issue


class Introspection:
    """Asks the authorization server about each token; `secret` is ours there."""

    def __init__(self, url: str, secret: str) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {secret}"}

    async def claims(
        self, token: str, audience: str | None = None, *, may_lack: Sequence[str] = ()
    ) -> dict[str, Any]:
        claims = await self._ask(token)
        # An answer may be as old as the server's cache: the end of a token is checked here, too.
        if claims.get("active") is not True or claims.get("exp", 2**40) <= time.time():
            raise Unauthorized("the token is not active")
        named = claims.get("aud")
        if audience is not None and named != audience and (named or "aud" not in may_lack):
            raise Unauthorized(f"the token is for another audience than {audience!r}")
        return claims

    async def _ask(self, token: str) -> dict[str, Any]:
        try:
            async with httpx.AsyncClient(timeout=5) as client:
                form = {"token": token}
                answer = await client.post(self._url, data=form, headers=self._headers)
                claims: dict[str, Any] = answer.raise_for_status().json()
        except (httpx.HTTPError, ValueError):
            raise Unavailable("tokens cannot be checked now", 2.0) from None
        return claims


class AuthorizationServer:
    """The server's side, as far as introspection goes."""

    def __init__(self) -> None:
        self.url = ""
        self.secret = secrets.token_urlsafe()
        self.tokens: dict[str, dict[str, Any]] = {}

    def issue(self, claims: dict[str, Any]) -> str:
        token = secrets.token_urlsafe()
        self.tokens[token] = claims
        return token

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].split()[0])
        [token] = parse_qs(await reader.readexactly(length), True)[b"token"]
        allowed = f"authorization: bearer {self.secret}".lower() in head
        known = self.tokens.get(token.decode()) if allowed else None
        body = orjson.dumps({"active": False} if known is None else {"active": True, **known})
        status = b"200 OK" if allowed else b"401 Unauthorized"
        writer.write(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))
        await writer.drain()


@pytest.fixture
async def authority() -> AsyncIterator[AuthorizationServer]:
    authority = AuthorizationServer()
    async with serving(authority.answer) as port:
        authority.url = f"http://127.0.0.1:{port}/introspect"
        yield authority


@pytest.fixture
def verifier(authority: AuthorizationServer) -> Introspection:
    return Introspection(authority.url, authority.secret)


@pytest.fixture
def issue(authority: AuthorizationServer) -> Issue:
    return authority.issue


async def test_an_app_takes_opaque_tokens(
    authority: AuthorizationServer, verifier: Introspection
) -> None:
    routes = APIRouter()

    @routes.get("/mine")
    async def mine(caller: Caller) -> str:
        caller.require("logs", "read", "mine")
        return str(caller.subject)

    context = Context.from_settings(Settings(), verifier)  # the line of registration
    later = int(time.time()) + 60
    good = authority.issue({"sub": "ann", "scope": "logs:read:mine", "exp": later})
    narrow = authority.issue({"sub": "bob", "scope": "logs:read:other", "exp": later})
    async with running(create_app(context, [Service("test", routes)], "Test")) as server:

        async def status(token: str) -> int:
            headers = {"Authorization": f"Bearer {token}"}
            async with await fetch(f"{server.url}/mine", headers=headers) as answer:
                return answer.status

        assert [await status(token) for token in (good, narrow, "stolen")] == [200, 403, 401]
        authority.secret = "another"
        assert await status(good) == 503
