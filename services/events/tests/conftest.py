"""A hub on a real port; what streams is tested on our server and on plain uvicorn too."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import orjson
import pytest

from events.app import create_app
from events.settings import EventsSettings
from streaming.testing import RedisServer, Running, Stream, fetch, running


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


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A redis-server for tests that leave it whole; each takes a hub of its own."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server.url
