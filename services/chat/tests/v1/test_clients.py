"""The official client of OpenAI's API, unchanged, against the service."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from eddyline.testing import running
from eddyline_chat.app import create_app
from eddyline_chat.settings import ChatSettings

HELLO: Any = [{"role": "user", "content": "Hello"}]


@pytest.fixture
async def client(fake: Any) -> AsyncIterator[AsyncOpenAI]:
    pace: dict[str, Any] = {"idle_timeout": 5, "heartbeat": 0.02}
    app = create_app(ChatSettings(upstream=fake.url, model="m", **pace))
    async with running(app) as server:
        async with AsyncOpenAI(base_url=server.url + "/v1", api_key="any", max_retries=0) as client:
            yield client


def choice(finish: str | None = None, **delta: Any) -> Any:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def answering(fake: Any, *pieces: Any) -> None:
    async def answer(exchange: Any) -> None:
        exchange.head()
        for piece in pieces:
            exchange.raw(piece) if isinstance(piece, bytes) else exchange.data(piece)
        exchange.transport.write(b"0\r\n\r\n")

    fake.answer = answer


DONE = b"data: [DONE]\n\n"


async def test_a_stream_is_read_with_its_usage(client: AsyncOpenAI, fake: Any) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    answering(
        fake,
        b": ping\n\n",
        choice(content="Hel"),
        choice(content="lo"),
        choice("stop"),
        {"choices": [], "usage": usage},
        DONE,
    )
    options: Any = {"include_usage": True}
    stream = await client.chat.completions.create(
        model="m", messages=HELLO, stream=True, stream_options=options
    )
    chunks = [chunk async for chunk in stream]
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert (text, chunks[-2].choices[0].finish_reason) == ("Hello", "stop")
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 11


async def test_pings_while_a_model_thinks_are_nothing_to_it(client: AsyncOpenAI, fake: Any) -> None:
    async def answer(exchange: Any) -> None:
        exchange.head()
        for piece in [choice(reasoning_content="hm"), choice(content="Hi"), choice("stop")]:
            await asyncio.sleep(0.1)  # sleep: the pace of an upstream that thinks
            exchange.data(piece)
        exchange.end(finish=None)

    fake.answer = answer
    stream = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
    chunks = [chunk async for chunk in stream]
    assert [c.choices[0].delta.content for c in chunks] == [None, "Hi", None]


async def test_tool_calls_are_put_together(client: AsyncOpenAI, fake: Any) -> None:
    call = {"index": 0, "id": "call_1", "type": "function"}
    answering(
        fake,
        choice(tool_calls=[{**call, "function": {"name": "f", "arguments": '{"a"'}}]),
        choice(tool_calls=[{"index": 0, "function": {"arguments": ": 1}"}}]),
        choice("tool_calls"),
        DONE,
    )
    async with client.chat.completions.stream(model="m", messages=HELLO) as stream:
        whole = await stream.get_final_completion()
    (made,) = whole.choices[0].message.tool_calls or ()
    assert (made.function.name, json.loads(made.function.arguments)) == ("f", {"a": 1})
    assert whole.choices[0].finish_reason == "tool_calls"


async def test_a_fault_in_mid_stream_is_an_exception(client: AsyncOpenAI, fake: Any) -> None:
    """A mere end of the stream is none to it: `finish_reason` stays None, and nothing is raised."""
    answering(fake, choice(content="Hel"), DONE)
    stream = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError, match="ended before it was finished"):
        _ = [chunk async for chunk in stream]


async def test_an_answer_in_one_piece(client: AsyncOpenAI, fake: Any) -> None:
    message = {"role": "assistant", "content": "Hello"}
    body = json.dumps(
        {
            "id": "c",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        }
    ).encode()

    async def answer(exchange: Any) -> None:
        kind = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        exchange.head(200, kind)
        exchange.transport.write(body)

    fake.answer = answer
    whole = await client.chat.completions.create(model="m", messages=HELLO)
    assert whole.choices[0].message.content == "Hello"


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (400, "context_length_exceeded", openai.BadRequestError),
        (429, "rate_limit_exceeded", openai.RateLimitError),
        (500, "server_error", openai.InternalServerError),
    ],
)
async def test_errors_are_its_own(
    client: AsyncOpenAI, fake: Any, status: int, code: str, error: type[openai.APIStatusError]
) -> None:
    async def answer(exchange: Any) -> None:
        exchange.refuse(status, {"code": code})

    fake.answer = answer
    with pytest.raises(error, match=code) as raised:
        await client.chat.completions.create(model="m", messages=HELLO, stream=True)
    assert raised.value.request_id


async def test_an_unknown_model_is_not_found(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="model='gpt-9'") as raised:
        await client.chat.completions.create(model="gpt-9", messages=HELLO)
    assert raised.value.code == "model_not_found"


async def test_models(client: AsyncOpenAI) -> None:
    assert [model.id async for model in client.models.list()] == ["m"]
    assert (await client.models.retrieve("m")).object == "model"


async def test_its_retries_stop_where_no_waiting_helps(client: AsyncOpenAI, fake: Any) -> None:
    async def answer(exchange: Any) -> None:
        exchange.refuse(429, {"code": "insufficient_quota"})

    fake.answer = answer
    eager = client.with_options(max_retries=3)
    with pytest.raises(openai.RateLimitError):
        await eager.chat.completions.create(model="m", messages=HELLO)
    assert len(fake.questions) == 1
