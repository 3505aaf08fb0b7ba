"""Clients that leave together: no request to the upstream outlives them."""

import asyncio
from typing import Any

import pytest
from prometheus_client import REGISTRY

from eddyline.testing import eventually, running
from eddyline_chat.app import create_app
from eddyline_chat.settings import ChatSettings

LEAVERS = 120

PLACES = [("/chat/stream", b'{"message": "Hi"}'), ("/chat?prompt=Hi", b"")]


def upstream_connections() -> float | None:
    return REGISTRY.get_sample_value("eddyline_upstream_connections", {"service": "chat"})


async def endless(exchange: Any) -> None:
    exchange.tokens("Hi")
    while True:
        exchange.data({"choices": [{"delta": {"content": "x" * 50}}]})
        await asyncio.sleep(0.002)  # sleep: the pace of an upstream


async def come_and_leave(port: int, path: str, body: bytes, all_here: asyncio.Barrier) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST %b HTTP/1.1\r\nHost: localhost\r\n" % path.encode())
    writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    await reader.readuntil(b"xxx")
    await all_here.wait()
    writer.close()


@pytest.mark.parametrize("http", ["", "httptools"])
@pytest.mark.parametrize(("path", "body"), PLACES)
async def test_clients_that_leave_at_once_leave_no_connection_to_the_upstream(
    fake: Any, http: str, path: str, body: bytes
) -> None:
    fake.answer = endless
    app = create_app(ChatSettings(upstream=fake.url, model="m", grace=0))
    async with running(app, **({"http": http} if http else {})) as server:
        all_here = asyncio.Barrier(LEAVERS)
        leaving = (come_and_leave(server.port, path, body, all_here) for _ in range(LEAVERS))
        await asyncio.gather(*leaving)
        await eventually(lambda: all(c.closed.is_set() for c in fake.connections))
        assert len(fake.connections) == LEAVERS
        await eventually(lambda: upstream_connections() == 0)
        await eventually(lambda: app.state.context.limits.open == 0)


async def test_the_gauge_counts_the_connections_that_are_open(fake: Any) -> None:
    fake.answer = endless
    app = create_app(ChatSettings(upstream=fake.url, model="m", grace=0))
    async with running(app) as server:
        all_here = asyncio.Barrier(4)
        leaving = asyncio.gather(
            *(come_and_leave(server.port, *PLACES[0], all_here) for _ in range(3))
        )
        await eventually(lambda: all_here.n_waiting == 3)
        assert upstream_connections() == 3
        await all_here.wait()
        await leaving
        await eventually(lambda: upstream_connections() == 0)
