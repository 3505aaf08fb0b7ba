"""Silence of the upstream: the client hears that the answer is on its way, within two limits."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from eddyline.testing import Running, Stream, fetch, running
from eddyline_chat.app import create_app
from eddyline_chat.settings import ChatSettings

DONE = '{"done": true, "finish_reason": "stop"}'

Serve = Callable[..., Any]


@pytest.fixture
async def serve(fake: Any) -> AsyncIterator[Serve]:
    async with AsyncExitStack() as stack:

        async def start(**fields: float) -> Running:
            app = create_app(ChatSettings(upstream=fake.url, model="m", **fields))  # type: ignore[arg-type]
            return await stack.enter_async_context(running(app))

        yield start


async def ask(server: Running) -> Stream:
    return await fetch(server.url + "/chat/stream", method="POST", body=b'{"message": "Hi"}')


class Script:
    """An upstream that goes on when the test says so."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    async def __call__(self, exchange: Any) -> None:
        exchange.head()
        await self.go_on.wait()
        exchange.data({"choices": [{"index": 0, "delta": {"content": "a"}}]})
        exchange.end()


async def pinging(exchange: Any, *, rounds: int, data: Any = None) -> None:
    exchange.head()
    for _ in range(rounds):
        exchange.raw(b": keep-alive\n\n")
        if data is not None:
            exchange.data(data)
        await asyncio.sleep(0.1)  # sleep: the pace of an upstream that thinks
    exchange.data({"choices": [{"index": 0, "delta": {"content": "a"}}]})
    exchange.end()


async def test_the_head_and_heartbeats_come_before_the_first_token(serve: Serve, fake: Any) -> None:
    fake.answer = script = Script()
    server = await serve(head_after=0.05, heartbeat=0.05)
    stream = await ask(server)  # returns at the head
    assert stream.status == 200
    heard = b""
    while heard.count(b":\n\n") < 3:
        heard += await stream.read()
    assert not script.go_on.is_set()
    script.go_on.set()
    rest = await stream.body()
    assert rest.replace(b":\n\n", b"") == f'data: {{"token": "a"}}\n\ndata: {DONE}\n\n'.encode()
    await stream.close()


async def test_the_text_has_its_head_before_the_first_word(serve: Serve, fake: Any) -> None:
    fake.answer = script = Script()
    server = await serve(head_after=0.05)
    stream = await fetch(
        server.url + "/chat?prompt=Hi", method="POST", headers={"Content-Length": "0"}
    )
    assert not script.go_on.is_set()
    script.go_on.set()
    assert (await stream.body(), stream.clean) == (b"a", True)
    await stream.close()


async def test_a_fault_after_the_head_is_an_event(serve: Serve, fake: Any) -> None:
    async def answer(exchange: Any) -> None:
        await failing.wait()
        exchange.refuse(500, {})

    failing = asyncio.Event()
    fake.answer = answer
    server = await serve(head_after=0.05)
    stream = await ask(server)
    failing.set()
    (event,) = await stream.events()
    assert (event.event, event.data) == ("error", '{"error": "the upstream answered 500"}')
    await stream.close()


async def test_comments_before_the_first_token_are_no_fault(serve: Serve, fake: Any) -> None:
    """DeepSeek sends `: keep-alive` for up to ten minutes (its page "Rate limit")."""
    fake.answer = lambda exchange: pinging(exchange, rounds=8)
    server = await serve(idle_timeout=0.2, first_token_timeout=60)
    stream = await ask(server)
    assert [event.data for event in await stream.events()] == ['{"token": "a"}', DONE]
    await stream.close()


async def test_reasoning_gives_the_first_token_time(serve: Serve, fake: Any) -> None:
    data = {"choices": [{"index": 0, "delta": {"reasoning_content": "hm"}}]}
    fake.answer = lambda exchange: pinging(exchange, rounds=15, data=data)
    server = await serve(idle_timeout=0.2, first_token_timeout=1.0)
    stream = await ask(server)
    assert [event.data for event in await stream.events()] == ['{"token": "a"}', DONE]
    await stream.close()


async def test_comments_do_not_put_the_first_token_off_for_ever(serve: Serve, fake: Any) -> None:
    fake.answer = lambda exchange: pinging(exchange, rounds=10_000)
    server = await serve(first_token_timeout=0.3)
    stream = await ask(server)
    assert stream.status == 502
    assert "no token for 0.3 seconds" in (await stream.json())["detail"]
    await stream.close()
    await asyncio.wait_for(fake.connections[0].closed.wait(), 20)


async def test_a_slow_client_does_not_use_up_the_upstreams_time(serve: Serve, fake: Any) -> None:
    """The upstream waits for the client, not the other way round."""
    size = 64

    async def answer(exchange: Any) -> None:
        exchange.head()
        for _ in range(size):
            exchange.data({"choices": [{"index": 0, "delta": {"content": "x" * 65536}}]})
        exchange.end()
        sent.set()

    sent = asyncio.Event()
    fake.answer = answer
    server = await serve(idle_timeout=0.2)
    stream = await fetch(
        server.url + "/chat/stream",
        method="POST",
        body=b'{"message": "Hi"}',
        receive_buffer=4096,
    )
    await asyncio.wait_for(sent.wait(), 20)
    await asyncio.sleep(0.6)  # sleep: the pace of a slow client, beyond the idle timeout
    events = await stream.events()
    assert (len(events), events[-1].data) == (size + 1, DONE)
    await stream.close()
