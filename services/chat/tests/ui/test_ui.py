"""The AI SDK's UI message stream: the parts of ai-sdk.dev/docs/ai-sdk-ui/stream-protocol."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from eddyline.testing import Running, Stream, fetch, running
from eddyline_chat.app import create_app
from eddyline_chat.settings import ChatSettings
from eddyline_chat.ui.events import UiMessageStream

USER = {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}


@pytest.fixture
async def server(fake: Any) -> AsyncIterator[Running]:
    app = create_app(ChatSettings(upstream=fake.url, model="m", grace=5))
    async with running(app) as server:
        yield server


async def ask(server: Running, **body: Any) -> Stream:
    raw = json.dumps({"id": "c1", "messages": [USER], **body}).encode()
    return await fetch(server.url + "/api/chat", method="POST", body=raw)


def parts(body: bytes) -> list[Any]:
    frames = body.decode().removesuffix("data: [DONE]\n\n").split("\n\n")[:-1]
    return [json.loads(frame.removeprefix("data: ")) for frame in frames]


def choice(finish: str | None = None, **delta: Any) -> Any:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def translated(*records: Any, reason: str = "complete") -> list[Any]:
    stream = UiMessageStream("g")
    return parts(b"".join(map(stream.record, records)) + stream.end(reason))


BEGIN = [{"type": "start", "messageId": "g"}, {"type": "start-step"}]


def ended(reason: str) -> list[Any]:
    return [{"type": "finish-step"}, {"type": "finish", "finishReason": reason}]


def test_text_and_reasoning_are_blocks() -> None:
    found = translated(choice(reasoning_content="hm"), choice(content="Hi"), choice("length"))
    assert found == [
        *BEGIN,
        {"type": "reasoning-start", "id": "g-1"},
        {"type": "reasoning-delta", "id": "g-1", "delta": "hm"},
        {"type": "reasoning-end", "id": "g-1"},
        {"type": "text-start", "id": "g-2"},
        {"type": "text-delta", "id": "g-2", "delta": "Hi"},
        {"type": "text-end", "id": "g-2"},
        *ended("length"),
    ]


@pytest.mark.parametrize(("arguments", "valid"), [(['{"a"', ": 1}"], True), (['{"a"'], False)])
def test_calls_of_tools(arguments: list[str], valid: bool) -> None:
    first = {"index": 0, "id": "t1", "function": {"name": "f", "arguments": arguments[0]}}
    more = [{"index": 0, "function": {"arguments": rest}} for rest in arguments[1:]]
    calls = [choice(tool_calls=[call]) for call in (first, *more)]
    found = translated(*calls, choice("tool_calls"))
    known = {"toolCallId": "t1", "toolName": "f"}
    assert found[2] == {"type": "tool-input-start", **known}
    deltas = [part for part in found if part["type"] == "tool-input-delta"]
    assert [delta["inputTextDelta"] for delta in deltas] == arguments
    if valid:
        assert {"type": "tool-input-available", **known, "input": {"a": 1}} in found
    else:
        assert any(part["type"] == "tool-input-error" for part in found)
    assert found[-2:] == ended("tool-calls")


def test_a_failed_answer_has_no_finish() -> None:
    found = translated(choice(content="a"), {"error": {"message": "why"}}, reason="failed")
    assert found[-2:] == [{"type": "text-end", "id": "g-1"}, {"type": "error", "errorText": "why"}]
    assert translated(choice(content="a"), reason="cancelled")[-1] == {"type": "abort"}


async def test_an_answer_is_the_sdks_stream(server: Running, fake: Any) -> None:
    image = {"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,AA"}
    turn = {"id": "m0", "role": "assistant", "parts": [{"type": "step-start"}, *USER["parts"]]}
    messages = [turn, {**USER, "parts": [*USER["parts"], image]}]
    stream = await ask(server, messages=messages, trigger="submit-message")
    assert stream.headers["x-vercel-ai-ui-message-stream"] == "v1"
    body = await stream.body()
    assert body.endswith(b"data: [DONE]\n\n")
    found = parts(body)
    texts = [part["delta"] for part in found if part["type"] == "text-delta"]
    assert ("".join(texts), found[-2:]) == ("Hello", ended("stop"))
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    assert fake.questions[0]["messages"] == [
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, picture]},
    ]
    await stream.close()


async def test_a_reload_in_mid_answer_gets_it_from_its_start(server: Running, fake: Any) -> None:
    go_on = asyncio.Event()

    async def answer(exchange: Any) -> None:
        exchange.tokens("Hel")
        await go_on.wait()
        exchange.data(choice(content="lo"))
        exchange.end()

    fake.answer = answer
    url = server.url + "/api/chat/c1/stream"
    idle = await fetch(url)
    assert idle.status == 204
    stream = await ask(server)
    first = await stream.read()
    assert b"start" in first
    await stream.close()  # the reload
    again = await fetch(url)
    assert again.headers["x-vercel-ai-ui-message-stream"] == "v1"
    go_on.set()
    found = parts(await again.body())
    assert found[0]["type"] == "start"
    texts = [part["delta"] for part in found if part["type"] == "text-delta"]
    assert ("".join(texts), found[-2:]) == ("Hello", ended("stop"))
    over = await fetch(url)
    assert over.status == 204
    for each in (idle, again, over):
        await each.close()


@pytest.mark.parametrize(
    ("body", "saying"),
    [
        ({"id": ""}, "id: expected"),
        ({"messages": []}, "messages: expected"),
        ({"messages": [{"role": "user"}]}, "messages.0.parts"),
        ({"messages": [{**USER, "role": "tool"}]}, "messages.0"),
        ({"messages": [{**USER, "parts": [{"type": "tool-f"}]}]}, "type='tool-f'"),
    ],
)
async def test_a_bad_request_is_named(
    server: Running, fake: Any, body: dict[str, Any], saying: str
) -> None:
    stream = await ask(server, **body)
    assert (stream.status, saying in (await stream.json())["detail"]) == (400, True)
    assert fake.questions == []
    await stream.close()


async def test_a_refusal_has_its_status(server: Running, fake: Any) -> None:
    async def answer(exchange: Any) -> None:
        exchange.refuse(429, {"code": "insufficient_quota"})

    fake.answer = answer
    stream = await ask(server)
    assert stream.status == 429
    await stream.close()
