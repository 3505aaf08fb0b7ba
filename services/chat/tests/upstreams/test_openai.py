"""The client of OpenAI's API against a fake server on a real port."""

import asyncio
import email.utils
import json
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from eddyline.errors import UpstreamError
from eddyline.testing import eventually
from eddyline_chat.client.pool import Pool
from eddyline_chat.settings import ChatSettings
from eddyline_chat.upstreams import openai
from eddyline_chat.upstreams.base import UpstreamBusy, UpstreamLimited
from eddyline_chat.upstreams.openai import OpenAI

KEY = "sk-not-to-be-seen"

STREAM = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"}

Make = Callable[..., OpenAI]


@pytest.fixture
async def upstream(fake: Any) -> AsyncIterator[Make]:
    pools: list[Pool] = []

    def make(url: str = "", **fields: Any) -> OpenAI:
        defaults: dict[str, Any] = {"model": "m", "api_key": KEY, "idle_timeout": 5.0}
        settings = ChatSettings(upstream=url or fake.url, **defaults | fields)
        pools.append(openai.pool(settings))
        return OpenAI(settings, pools[-1])

    yield make
    for pool in pools:
        pool.close()


@pytest.fixture
def collect(gather: Any) -> Callable[[OpenAI], Awaitable[list[str]]]:
    return lambda upstream: gather().whole(upstream)


@pytest.fixture
def fails(gather: Any) -> Callable[[OpenAI, list[str], str], Awaitable[None]]:
    async def fails(upstream: OpenAI, after: list[str], saying: str) -> None:
        """The tokens before the error are `after`; the error says `saying`, and not the key."""
        answer = gather()
        with pytest.raises(UpstreamError, match=saying) as raised:
            await answer.whole(upstream)
        assert answer.texts == after
        assert KEY not in str(raised.value)

    return fails


async def test_tokens_come_through_and_the_question_is_openais(
    fake: Any, upstream: Make, collect: Any
) -> None:
    assert await collect(upstream()) == ["Hel", "lo"]
    asked = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
    assert fake.questions == [{**asked, "stream_options": {"include_usage": True}}]
    assert fake.heads[0].startswith("POST /v1/chat/completions HTTP/1.1")
    assert f"Authorization: Bearer {KEY}" in fake.heads[0]


async def test_usage_is_asked_for_unless_a_setting_says_no(
    fake: Any, upstream: Make, collect: Any
) -> None:
    await collect(upstream(usage=False))
    assert "stream_options" not in fake.questions[0]


async def test_each_token_is_there_before_the_next_is_made(
    fake: Any, upstream: Make, gather: Any
) -> None:
    taken = asyncio.Event()

    async def answer(exchange: Any) -> None:
        exchange.tokens("one")
        await taken.wait()
        exchange.data(_chunk("two"))
        exchange.end()

    fake.answer = answer
    told = gather()
    told.ask(upstream())
    await asyncio.wait_for(told.some.wait(), 20)
    assert told.texts == ["one"]
    taken.set()
    await asyncio.wait_for(told.ended, 20)
    assert told.texts == ["one", "two"]


async def test_a_whole_answer_leaves_the_connection_for_the_next(
    fake: Any, upstream: Make, collect: Any
) -> None:
    one = upstream()
    for _ in range(3):
        await collect(one)
        await eventually(lambda: one._pool._free)
    assert len(fake.connections) == 1


async def test_comments_usage_and_roles_are_no_tokens(
    fake: Any, upstream: Make, collect: Any
) -> None:
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


async def test_characters_cut_at_any_byte_arrive_whole(
    fake: Any, upstream: Make, collect: Any
) -> None:
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


async def test_a_finish_reason_makes_it_whole_without_done(
    fake: Any, upstream: Make, collect: Any
) -> None:
    fake.answer = _steps(lambda e: e.tokens("a"), lambda e: e.end(done=False))
    assert await collect(upstream()) == ["a"]


async def test_done_alone_makes_it_whole_only_by_a_setting(
    fake: Any, upstream: Make, collect: Any, fails: Any
) -> None:
    fake.answer = _steps(lambda e: e.tokens("a"), lambda e: e.end(finish=None))
    await fails(upstream(), ["a"], "ended before it was finished")
    assert await collect(upstream(done_alone=True)) == ["a"]


@pytest.mark.parametrize("reason", ["eos", "end_turn"])
async def test_other_finish_reasons_make_it_whole_only_by_a_setting(
    fake: Any, upstream: Make, reason: str, collect: Any, fails: Any
) -> None:
    fake.answer = _steps(lambda e: e.tokens("a"), lambda e: e.end(finish=reason))
    await fails(upstream(), ["a"], f"cut its answer short: {reason}")
    assert await collect(upstream(finish_reasons=("eos", "end_turn"))) == ["a"]


async def test_a_finish_reason_that_may_be_a_secret_is_not_shown(
    fake: Any, upstream: Make, fails: Any
) -> None:
    fake.answer = _steps(lambda e: e.tokens("a"), lambda e: e.end(finish=KEY))
    await fails(upstream(), ["a"], "a reason that is no name")


async def test_an_end_without_a_sign_is_an_error(fake: Any, upstream: Make, fails: Any) -> None:
    fake.answer = _steps(lambda e: e.tokens("a"), lambda e: e.end(finish=None, done=False))
    await fails(upstream(), ["a"], "ended before it was finished")


async def test_a_connection_cut_in_a_frame_is_an_error(
    fake: Any, upstream: Make, fails: Any
) -> None:
    fake.answer = _steps(
        lambda e: e.tokens("a"), lambda e: e.raw(b'data: {"cho'), lambda e: e.transport.close()
    )
    await fails(upstream(), ["a"], "connection to the upstream broke")


async def test_an_error_object_in_the_stream_is_an_error(
    fake: Any, upstream: Make, fails: Any
) -> None:
    error = {"message": f"key {KEY} died", "type": "server_error", "param": None, "code": None}
    fake.answer = _steps(lambda e: e.tokens("a"), lambda e: e.data({"error": error}))
    await fails(upstream(), ["a"], r"failed in the midst of its answer \(server_error\)")


@pytest.mark.parametrize("frame", [b"data: {nonsense\n\n", b"data: [1]\n\n"])
async def test_a_frame_that_is_no_chunk_is_an_error(
    fake: Any, upstream: Make, frame: bytes, fails: Any
) -> None:
    fake.answer = _steps(lambda e: e.tokens("a"), lambda e: e.raw(frame))
    await fails(upstream(), ["a"], "not ")


async def test_an_event_without_end_is_given_up(fake: Any, upstream: Make, fails: Any) -> None:
    async def answer(exchange: Any) -> None:
        exchange.tokens("a")
        while True:
            exchange.raw(b"x" * 65536)
            await asyncio.sleep(0)

    fake.answer = answer
    await fails(upstream(), ["a"], "without an event")


@pytest.mark.parametrize("status", [302, 400, 401, 404, 500])
async def test_a_refusal_names_the_status_and_the_code(
    fake: Any, upstream: Make, status: int, fails: Any
) -> None:
    error = {"message": f"Incorrect API key provided: {KEY}", "code": "invalid_api_key"}
    fake.answer = _steps(lambda e: e.refuse(status, error))
    await fails(upstream(), [], rf"answered {status} \(invalid_api_key\)$")


async def test_a_code_that_may_be_a_secret_is_not_shown(
    fake: Any, upstream: Make, fails: Any
) -> None:
    fake.answer = _steps(lambda e: e.refuse(500, {"code": KEY, "type": ["?"]}))
    await fails(upstream(), [], "answered 500$")


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [("7", 7.0), ("0.5", 0.5), ("soon", 5.0), ("-1", 5.0), ("nan", 5.0), ("1e9", 3600.0)],
)
async def test_retry_after_is_passed_on(
    fake: Any, upstream: Make, retry_after: str, seconds: float, collect: Any
) -> None:
    fake.answer = _steps(lambda e: e.refuse(429, {}, {"Retry-After": retry_after}))
    with pytest.raises(UpstreamLimited, match="answered 429") as raised:
        await collect(upstream())
    assert (raised.value.status, raised.value.retry_after) == (429, seconds)


async def test_retry_after_may_be_a_date(fake: Any, upstream: Make, collect: Any) -> None:
    date = email.utils.formatdate(time.time() + 100, usegmt=True)
    fake.answer = _steps(lambda e: e.refuse(503, {}, {"Retry-After": date}))
    with pytest.raises(UpstreamBusy) as raised:
        await collect(upstream())
    assert raised.value.status == 503
    assert 90 < raised.value.retry_after <= 100


async def test_no_server_there_is_an_error(
    upstream: Make, unused_tcp_port: int, fails: Any
) -> None:
    await fails(upstream(f"http://127.0.0.1:{unused_tcp_port}/v1"), [], "cannot be reached")


async def test_silence_is_given_up(fake: Any, upstream: Make, fails: Any) -> None:
    fake.answer = _steps()
    await fails(upstream(first_token_timeout=0.05), [], "sent no token for 0.05 seconds")
    await asyncio.wait_for(fake.connections[0].closed.wait(), 20)


async def test_comments_alone_are_silence(fake: Any, upstream: Make, fails: Any) -> None:
    async def answer(exchange: Any) -> None:
        exchange.tokens("a")
        while True:
            exchange.raw(b": ping\n\n")
            await asyncio.sleep(0.01)  # sleep: the pace of an upstream's comments

    fake.answer = answer
    await fails(upstream(idle_timeout=0.2), ["a"], "sent no token for 0.2 seconds")


async def test_closing_between_tokens_closes_the_connection(
    fake: Any, upstream: Make, gather: Any
) -> None:
    fake.answer = _steps(lambda e: e.tokens("a", "b"))
    told = gather()
    exchange = told.ask(upstream())
    await asyncio.wait_for(told.some.wait(), 20)
    exchange.close()
    await asyncio.wait_for(fake.connections[0].closed.wait(), 20)
    assert not told.ended.done()


async def test_closing_before_the_first_token_closes_the_connection(
    fake: Any, upstream: Make, gather: Any
) -> None:
    fake.answer = _steps()
    exchange = gather().ask(upstream())
    await fake.asked()
    exchange.close()
    await asyncio.wait_for(fake.connections[0].closed.wait(), 20)


async def test_closing_before_there_is_a_connection_asks_nothing(
    fake: Any, upstream: Make, gather: Any
) -> None:
    one = upstream()
    gather().ask(one).close()
    await gather().whole(one)
    assert len(fake.questions) == 1


async def test_a_connection_that_its_server_has_closed_is_not_the_questions_end(
    fake: Any, upstream: Make, gather: Any
) -> None:
    """RFC 9112 section 9.3.1: a client that reuses a connection may meet its close."""
    one = upstream()
    await gather().whole(one)
    await eventually(lambda: one._pool._free)

    async def closing(exchange: Any) -> None:
        fake.answer = whole_answer
        exchange.transport.abort()

    whole_answer, fake.answer = fake.answer, closing
    assert await gather().whole(one) == ["Hel", "lo"]
    assert [len(fake.connections), len(fake.questions)] == [2, 3]


async def test_a_whole_answer_in_one_piece(fake: Any, upstream: Make, gather: Any) -> None:
    answer = {"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}

    async def json_answer(exchange: Any) -> None:
        body = json.dumps(answer).encode()
        exchange.head(200, {"Content-Type": "application/json", "Content-Length": str(len(body))})
        exchange.transport.write(body)

    fake.answer = json_answer
    told = gather()
    told.ask(upstream(), stream=False)
    await asyncio.wait_for(told.ended, 20)
    assert told.texts == ["Hi"]
    answer["choices"][0]["finish_reason"] = None
    told = gather()
    told.ask(upstream(), stream=False)
    with pytest.raises(UpstreamError, match="ended before it was finished"):
        await asyncio.wait_for(told.ended, 20)


async def test_a_compressed_answer_is_read_though_it_was_not_asked_for(
    fake: Any, upstream: Make, gather: Any
) -> None:
    async def answer(exchange: Any) -> None:
        exchange.head(200, {**STREAM, "Content-Encoding": "gzip"})
        packer = zlib.compressobj(wbits=31)
        for token in ("a", "b"):
            data = b"data: " + json.dumps(_chunk(token)).encode() + b"\n\n"
            exchange.raw(packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))
        last = b"data: " + json.dumps(_chunk(None, finish="stop")).encode() + b"\n\n"
        exchange.raw(packer.compress(last) + packer.flush())
        exchange.end(finish=None, done=False)

    fake.answer = answer
    assert await gather().whole(upstream()) == ["a", "b"]
    assert "Accept-Encoding: identity" in fake.heads[0]


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
