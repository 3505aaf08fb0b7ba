"""The client of OpenAI's API against a fake server on a real port."""

import asyncio
import email.utils
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest

from eddyline.errors import UpstreamError
from eddyline_chat.settings import ChatSettings
from eddyline_chat.upstreams import openai
from eddyline_chat.upstreams.base import UpstreamBusy, UpstreamLimited
from eddyline_chat.upstreams.connections import Connections
from eddyline_chat.upstreams.openai import OpenAI

KEY = "sk-not-to-be-seen"
QUESTION: Any = [{"role": "user", "content": "Hello"}]

Make = Callable[..., OpenAI]


@pytest.fixture
async def upstream(fake: Any) -> AsyncIterator[Make]:
    clients = []

    def make(url: str = "", **fields: Any) -> OpenAI:
        defaults: dict[str, Any] = {"model": "m", "api_key": KEY, "idle_timeout": 5.0}
        settings = ChatSettings(upstream=url or fake.url, **defaults | fields)
        clients.append(openai.client(settings))
        return OpenAI(clients[-1], settings, Connections())

    yield make
    for client in clients:
        await client.aclose()


async def collect(upstream: OpenAI, seen: list[str] | None = None) -> list[str]:
    seen = [] if seen is None else seen
    async with aclosing(upstream.complete(QUESTION)) as tokens:
        async for token in tokens:
            seen.append(token)
    return seen


async def fails(upstream: OpenAI, after: list[str], saying: str) -> None:
    """The tokens before the error are `after`; the error says `saying`, and not the key."""
    seen: list[str] = []
    with pytest.raises(UpstreamError, match=saying) as raised:
        await collect(upstream, seen)
    assert seen == after
    assert KEY not in str(raised.value)


async def test_tokens_come_through_and_the_question_is_openais(fake: Any, upstream: Make) -> None:
    assert await collect(upstream()) == ["Hel", "lo"]
    assert fake.questions == [{"model": "m", "messages": QUESTION, "stream": True}]
    assert fake.heads[0].startswith("POST /v1/chat/completions HTTP/1.1")
    assert f"Authorization: Bearer {KEY}" in fake.heads[0]


async def test_each_token_is_there_before_the_next_is_made(fake: Any, upstream: Make) -> None:
    taken = asyncio.Event()

    async def answer(exchange: Any) -> None:
        exchange.tokens("one")
        await taken.wait()
        exchange.data(_chunk("two"))
        exchange.end()

    fake.answer = answer
    async with aclosing(upstream().complete(QUESTION)) as tokens:
        assert await anext(tokens) == "one"
        taken.set()
        assert [token async for token in tokens] == ["two"]


async def test_a_whole_answer_leaves_the_connection_for_the_next(fake: Any, upstream: Make) -> None:
    one = upstream()
    for _ in range(3):
        await collect(one)
    assert len(fake.connections) == 1


async def test_comments_usage_and_roles_are_no_tokens(fake: Any, upstream: Make) -> None:
    async def answer(exchange: Any) -> None:
        exchange.head()
        exchange.raw(b": ping\n\n")
        exchange.data(_chunk(None, role="assistant"))
        exchange.raw(b": ping\n")
        exchange.data(_chunk("Hi"))
        exchange.data(_chunk(None, finish="stop"))
        exchange.data({"id": "chatcmpl-1", "choices": [], "usage": {"total_tokens": 1}})
        exchange.end(finish=None)

    fake.answer = answer
    assert await collect(upstream()) == ["Hi"]


async def test_characters_cut_at_any_byte_arrive_whole(fake: Any, upstream: Make) -> None:
    text = "naïve 🜁 日本語\u2028"

    async def answer(exchange: Any) -> None:
        exchange.head()
        frame = b"data: " + json.dumps(_chunk(text), ensure_ascii=False).encode() + b"\r\n\r\n"
        for byte in frame:
            exchange.raw(bytes([byte]))
            await asyncio.sleep(0)
        exchange.end()

    fake.answer = answer
    assert await collect(upstream()) == [text]


async def test_a_finish_reason_makes_it_whole_without_done(fake: Any, upstream: Make) -> None:
    fake.answer = _steps(lambda e: e.tokens("a"), lambda e: e.end(done=False))
    assert await collect(upstream()) == ["a"]


async def test_done_alone_makes_it_whole_only_by_a_setting(fake: Any, upstream: Make) -> None:
    fake.answer = _steps(lambda e: e.tokens("a"), lambda e: e.end(finish=None))
    await fails(upstream(), ["a"], "ended before it was finished")
    assert await collect(upstream(done_alone=True)) == ["a"]


@pytest.mark.parametrize("reason", ["eos", "end_turn"])
async def test_other_finish_reasons_make_it_whole_only_by_a_setting(
    fake: Any, upstream: Make, reason: str
) -> None:
    fake.answer = _steps(lambda e: e.tokens("a"), lambda e: e.end(finish=reason))
    await fails(upstream(), ["a"], f"cut its answer short: {reason}")
    assert await collect(upstream(finish_reasons=("eos", "end_turn"))) == ["a"]


async def test_a_finish_reason_that_may_be_a_secret_is_not_shown(fake: Any, upstream: Make) -> None:
    fake.answer = _steps(lambda e: e.tokens("a"), lambda e: e.end(finish=KEY))
    await fails(upstream(), ["a"], "a reason that is no name")


async def test_an_end_without_a_sign_is_an_error(fake: Any, upstream: Make) -> None:
    fake.answer = _steps(lambda e: e.tokens("a"), lambda e: e.end(finish=None, done=False))
    await fails(upstream(), ["a"], "ended before it was finished")


async def test_an_answer_cut_at_its_length_is_an_error(fake: Any, upstream: Make) -> None:
    fake.answer = _steps(lambda e: e.tokens("a"), lambda e: e.end(finish="length"))
    await fails(upstream(), ["a"], "cut its answer short: length")


async def test_a_connection_cut_in_a_frame_is_an_error(fake: Any, upstream: Make) -> None:
    fake.answer = _steps(
        lambda e: e.tokens("a"), lambda e: e.raw(b'data: {"cho'), lambda e: e.transport.close()
    )
    await fails(upstream(), ["a"], "connection to the upstream broke")


async def test_an_error_object_in_the_stream_is_an_error(fake: Any, upstream: Make) -> None:
    error = {"message": f"key {KEY} died", "type": "server_error", "param": None, "code": None}
    fake.answer = _steps(lambda e: e.tokens("a"), lambda e: e.data({"error": error}))
    await fails(upstream(), ["a"], r"failed in the midst of its answer \(server_error\)")


@pytest.mark.parametrize("frame", [b"data: {nonsense\n\n", b"data: [1]\n\n"])
async def test_a_frame_that_is_no_chunk_is_an_error(
    fake: Any, upstream: Make, frame: bytes
) -> None:
    fake.answer = _steps(lambda e: e.tokens("a"), lambda e: e.raw(frame))
    await fails(upstream(), ["a"], "not ")


async def test_an_event_without_end_is_given_up(fake: Any, upstream: Make) -> None:
    async def answer(exchange: Any) -> None:
        exchange.tokens("a")
        while True:
            exchange.raw(b"x" * 65536)
            await asyncio.sleep(0)

    fake.answer = answer
    await fails(upstream(), ["a"], "without an event")


@pytest.mark.parametrize("status", [302, 400, 401, 404, 500])
async def test_a_refusal_names_the_status_and_the_code(
    fake: Any, upstream: Make, status: int
) -> None:
    error = {"message": f"Incorrect API key provided: {KEY}", "code": "invalid_api_key"}
    fake.answer = _steps(lambda e: e.refuse(status, error))
    await fails(upstream(), [], rf"answered {status} \(invalid_api_key\)$")


async def test_a_code_that_may_be_a_secret_is_not_shown(fake: Any, upstream: Make) -> None:
    fake.answer = _steps(lambda e: e.refuse(500, {"code": KEY, "type": ["?"]}))
    await fails(upstream(), [], "answered 500$")


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [("7", 7.0), ("0.5", 0.5), ("soon", 5.0), ("-1", 5.0), ("nan", 5.0), ("1e9", 3600.0)],
)
async def test_retry_after_is_passed_on(
    fake: Any, upstream: Make, retry_after: str, seconds: float
) -> None:
    fake.answer = _steps(lambda e: e.refuse(429, {}, {"Retry-After": retry_after}))
    with pytest.raises(UpstreamLimited, match="answered 429") as raised:
        await collect(upstream())
    assert (raised.value.status, raised.value.retry_after) == (429, seconds)


async def test_retry_after_may_be_a_date(fake: Any, upstream: Make) -> None:
    date = email.utils.formatdate(time.time() + 100, usegmt=True)
    fake.answer = _steps(lambda e: e.refuse(503, {}, {"Retry-After": date}))
    with pytest.raises(UpstreamBusy) as raised:
        await collect(upstream())
    assert raised.value.status == 503
    assert 90 < raised.value.retry_after <= 100


async def test_no_server_there_is_an_error(upstream: Make, unused_tcp_port: int) -> None:
    await fails(upstream(f"http://127.0.0.1:{unused_tcp_port}/v1"), [], "cannot be reached")


async def test_silence_is_given_up(fake: Any, upstream: Make) -> None:
    fake.answer = _steps()
    await fails(upstream(first_token_timeout=0.05), [], "sent no token for 0.05 seconds")
    await asyncio.wait_for(fake.connections[0].closed.wait(), 20)


async def test_comments_alone_are_silence(fake: Any, upstream: Make) -> None:
    async def answer(exchange: Any) -> None:
        exchange.tokens("a")
        while True:
            exchange.raw(b": ping\n\n")
            await asyncio.sleep(0.01)  # sleep: the pace of an upstream's comments

    fake.answer = answer
    await fails(upstream(idle_timeout=0.2), ["a"], "sent no token for 0.2 seconds")


async def test_closing_between_tokens_closes_the_connection(fake: Any, upstream: Make) -> None:
    fake.answer = _steps(lambda e: e.tokens("a", "b"))
    tokens = upstream().complete(QUESTION)
    await anext(tokens)
    await tokens.aclose()
    await asyncio.wait_for(fake.connections[0].closed.wait(), 20)


async def test_cancelling_before_the_first_token_closes_the_connection(
    fake: Any, upstream: Make
) -> None:
    fake.answer = _steps()
    task = asyncio.create_task(collect(upstream()))
    await fake.asked()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(fake.connections[0].closed.wait(), 20)


def _steps(*steps: Callable[[Any], object]) -> Callable[[Any], Awaitable[None]]:
    """An answer that takes these steps and then keeps the connection open."""

    async def answer(exchange: Any) -> None:
        for step in steps:
            step(exchange)

    return answer


def _chunk(content: str | None, **fields: Any) -> Any:
    delta = {"role": fields.get("role"), "content": content}
    choice = {"index": 0, "delta": delta, "finish_reason": fields.get("finish")}
    return {"id": "chatcmpl-1", "choices": [choice]}
