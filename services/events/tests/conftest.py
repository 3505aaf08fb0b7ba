"""A hub on a real port; streams are tested on our server and on plain uvicorn."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import urlencode

import jwt
import orjson
import pytest

from eddyline.testing import Running, Stream, fetch, running
from eddyline.testing.wait import PATIENCE
from eddyline_events.app import create_app
from eddyline_events.settings import EventsSettings


@pytest.fixture(params=["detached", "asgi"])
def hub_of(request: pytest.FixtureRequest) -> Callable[..., AbstractAsyncContextManager[Running]]:
    @asynccontextmanager
    async def start(**settings: Any) -> AsyncIterator[Running]:
        options = {} if request.param == "detached" else {"http": "httptools"}
        async with running(create_app(EventsSettings(**settings)), **options) as hub:
            yield hub

    return start


@pytest.fixture
async def hub(hub_of: Any) -> AsyncIterator[Running]:
    async with hub_of() as started:
        yield started


@pytest.fixture(scope="session")
def standing_hubs() -> Iterator[Callable[..., Running]]:
    """Hubs by their settings, each started once, in an event loop of their own."""
    loop, started = asyncio.new_event_loop(), dict[bytes, Running]()
    stack = AsyncExitStack()
    thread = Thread(target=loop.run_forever)
    thread.start()

    def hub_with(**settings: Any) -> Running:
        key = orjson.dumps(settings, option=orjson.OPT_SORT_KEYS)
        if key not in started:
            starting = stack.enter_async_context(running(create_app(EventsSettings(**settings))))
            started[key] = asyncio.run_coroutine_threadsafe(starting, loop).result(PATIENCE)
        return started[key]

    try:
        yield hub_with
    finally:
        asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result(PATIENCE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def standing_of(standing_hubs: Any) -> Callable[..., AbstractAsyncContextManager[Running]]:
    """As `hub_of`, of hubs that other tests have used and will use: for rules that end in one
    answer. A stream is tested on a hub of its own, on both servers.
    """

    @asynccontextmanager
    async def find(**settings: Any) -> AsyncIterator[Running]:
        yield standing_hubs(**settings)

    return find


@pytest.fixture
def standing(standing_hubs: Any) -> Running:
    return standing_hubs()


@pytest.fixture
def key() -> str:
    """To be given as `auth_key`."""
    return "k" * 32


@pytest.fixture
def bearer(key: str) -> Callable[..., dict[str, str]]:
    def headers(scope: str, seconds: float = 60, **claims: Any) -> dict[str, str]:
        made = {"sub": "alice", "scope": scope, "exp": time.time() + seconds} | claims
        return {"Authorization": f"Bearer {jwt.encode(made, key, 'HS256')}"}

    return headers


@pytest.fixture
def asked() -> Callable[..., Any]:
    async def ask(
        hub: Running, path: str, method: str = "GET", body: bytes = b"", **headers: str
    ) -> tuple[int, Any]:
        """Status and JSON of the answer; None where it has no body."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        url = hub.url + path
        async with await fetch(url, method=method, body=body, headers=names) as stream:
            answer = await stream.body()
            return stream.status, orjson.loads(answer) if answer else None

    return ask


@pytest.fixture
def publish() -> Callable[..., Any]:
    async def send(
        hub: Running, body: Any, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and body of the answer."""
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        async with await fetch(
            hub.url + "/events", method="POST", body=raw, headers=headers
        ) as stream:
            return stream.status, await stream.json()

    return send


@pytest.fixture
def subscribed() -> Callable[..., Any]:
    async def open(hub: Running, query: str = "", **headers: str) -> Stream:
        """A subscriber that the hub has taken: its first bytes are there."""
        stream = await fetch(
            f"{hub.url}/events{query}", headers={k.replace("_", "-"): v for k, v in headers.items()}
        )
        if stream.status == 200:
            assert list(stream.parser.feed(await stream.read())) == []
        return stream

    return open


class MercureSteps:
    """The steps of clients of the Mercure protocol, and their tokens."""

    key = "k" * 32
    path = "/.well-known/mercure"
    url = "https://hub.example/.well-known/mercure"
    issuer = "https://issuer.example"
    #: Settings of a hub that takes tokens of both revisions, and anonymous readers.
    secured: ClassVar[dict[str, Any]] = {
        "auth_key": key,
        "auth_issuer": issuer,
        "mercure_url": url,
        "anonymous": True,
    }

    def __init__(self) -> None:
        self._open: list[Stream] = []  # a stream that nobody holds is closed

    def token_0x(self, seconds: float | None = None, key: str = key, **mercure: Any) -> str:
        """`publish`, `subscribe`, `payload`: the `mercure` claim."""
        claims: dict[str, Any] = {"mercure": mercure}
        if seconds is not None:
            claims["exp"] = time.time() + seconds
        return jwt.encode(claims, key, "HS256")

    def token_1x(
        self, *details: Any, typ: str | None = "at+jwt", key: str = key, **changed: Any
    ) -> str:
        """`details`: (actions, topics[, payload]), topics as texts or matcher objects, or raw."""
        made = [self.detail(*d) if isinstance(d, tuple) else d for d in details]
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": self.url,
            "exp": time.time() + 60,
            "authorization_details": made,
        } | changed
        claims = {name: value for name, value in claims.items() if value is not ...}
        return jwt.encode(claims, key, "HS256", {"typ": typ} if typ else {})

    @staticmethod
    def detail(actions: str, topics: Sequence[Any], *payload: Any) -> dict[str, Any]:
        found: dict[str, Any] = {
            "type": "https://mercure.rocks/authorization-detail",
            "actions": actions.split(),
            "topics": [{"match": t} if isinstance(t, str) else t for t in topics],
        }
        return found | ({"payload": payload[0]} if payload else {})

    @staticmethod
    def bearer(token: str | None) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"} if token else {}

    async def get(
        self,
        hub: Running,
        *parameters: tuple[str, str],
        token: str | None = None,
        method: str = "GET",
        path: str = path,
        **headers: str,
    ) -> Stream:
        """The answer, also a refusal; parameter and header names as they are, `_` for `-`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        query = f"?{urlencode(parameters)}" if parameters else ""
        return await fetch(hub.url + path + query, method=method, headers=sent | self.bearer(token))

    async def subscribe(
        self, hub: Running, *parameters: tuple[str, str], token: str | None = None, **headers: str
    ) -> Stream:
        """A subscriber that the hub has taken: its first bytes are there."""
        stream = await self.get(hub, *parameters, token=token, **headers)
        assert stream.status == 200, await stream.body()
        stream._events.extend(stream.parser.feed(await stream.read()))
        self._open.append(stream)
        return stream

    async def post(
        self,
        hub: Running,
        *fields: tuple[str, str],
        token: str | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        query: str = "",
    ) -> tuple[Stream, str]:
        """The answer, and its body."""
        sent = {"Content-Type": "application/x-www-form-urlencoded"} | dict(headers or {})
        raw = urlencode(fields).encode() if body is None else body
        stream = await fetch(
            hub.url + self.path + query,
            method="POST",
            headers=sent | self.bearer(token),
            body=raw,
        )
        async with stream:
            return stream, (await stream.body()).decode()

    async def publish(self, hub: Running, topic: str, data: str, **fields: str) -> str:
        """The id of an update that the hub took; `token` is no field."""
        token = fields.pop("token", None)
        answer, body = await self.post(
            hub, ("topic", topic), ("data", data), *fields.items(), token=token
        )
        assert answer.status == 200, body
        return body

    async def refused(self, hub: Running, status: int, *fields: tuple[str, str], **how: Any) -> str:
        """The detail of the problem that a refused publication gets."""
        answer, body = await self.post(hub, *fields, **how)
        assert answer.status == status, body
        assert answer.headers["content-type"] == "application/problem+json"
        return str(orjson.loads(body)["detail"])


@pytest.fixture
def mercure() -> MercureSteps:
    return MercureSteps()
