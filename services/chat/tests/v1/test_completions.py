"""OpenAI's wire, byte for byte, over a fake upstream.

Fields are those of OpenAI's published schema (openai-openapi: CreateChatCompletionStreamResponse).
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import pytest
from pydantic import SecretStr

from eddyline.testing import Running, eventually, fetch, running
from eddyline_chat.app import create_app
from eddyline_chat.settings import ChatSettings

KEY = "sk-not-to-be-seen"
PATH = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "Hello"}]

DONE = b"data: [DONE]\n\n"


@pytest.fixture
async def server(fake: Any) -> AsyncIterator[Running]:
    settings = {"first_token_timeout": 0.6, "idle_timeout": 0.3, "head_after": 5.0}
    app = create_app(
        ChatSettings(upstream=fake.url, model="m", api_key=SecretStr(KEY), **settings)  # type: ignore[arg-type]
    )
    async with running(app) as server:
        yield server
        await eventually(lambda: server.app.state.context.limits.open == 0)


class Shown(NamedTuple):
    status: int
    body: bytes
    clean: bool | None
    headers: dict[str, str]

    @property
    def error(self) -> Any:
        return json.loads(self.body)["error"]

    def events(self) -> list[Any]:
        """The data of the events, each one line; all but the last are objects."""
        lines = [line for line in self.body.decode().split("\n") if line and line != ": ping"]
        assert all(line.startswith("data: ") for line in lines)
        return [json.loads(line[6:]) for line in lines[:-1]]


async def ask(server: Running, body: Any, path: str = PATH, **options: Any) -> Shown:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    stream = await fetch(
        server.url + path, method=options.pop("method", "POST"), body=raw, **options
    )
    try:
        shown = Shown(stream.status, await stream.body(), stream.clean, dict(stream.headers))
    finally:
        await stream.close()
    assert KEY.encode() not in shown.body
    return shown


def asked(**more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": HELLO, "stream": True, **more}


Act = Callable[[Any], object]


def sending(*pieces: Any, end: bool = True) -> Callable[[Any], Any]:
    async def answer(exchange: Any) -> None:
        exchange.head()
        for piece in pieces:
            exchange.raw(piece) if isinstance(piece, bytes) else exchange.data(piece)
        if end:
            exchange.transport.write(b"0\r\n\r\n")

    return answer


def chunk(delta: Any, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    common = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "up"}
    return {**common, "choices": [choice], **more}


STOP = chunk({}, "stop")


async def test_a_chunk_comes_back_as_the_upstream_wrote_it(server: Running, fake: Any) -> None:
    odd = (
        b'{ "id":"x","object":"chat.completion.chunk","created":1,"model":"up", "choices":['
        b'{"index":0,"delta":{"content":"caf\\u00e9 \\ud83d","reasoning_content":"hm","tool_calls":'
        b'[{"index":0,'
        b'"id":"call_1","function":{"name":"f","arguments":"{\\"a\\":"}}]},"logprobs":{"content":[]},'
        b'"finish_reason":null}],"x_unknown":{"y":[1,2.50]},"usage":null}'
    )
    fake.answer = sending(b"data: " + odd + b"\n\n", STOP, DONE)
    shown = await ask(server, asked())
    stop = json.dumps(STOP, ensure_ascii=False).encode()
    assert shown.body == b"data: " + odd + b"\n\ndata: " + stop + b"\n\n" + DONE
    assert (shown.status, shown.clean) == (200, True)
    assert shown.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert shown.headers["cache-control"] == "no-cache, no-transform"


async def test_the_request_goes_up_as_it_is(server: Running, fake: Any) -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    body = asked(tools=tools, temperature=0.5, response_format={"type": "json_object"}, x_new=[1])
    await ask(server, body, headers={"Traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"})
    assert fake.questions == [{**body, "stream_options": {"include_usage": True}}]
    head = fake.heads[0].lower()
    assert "\r\ntraceparent: 00-aaaa" in head
    assert "\r\nx-request-id: " in head
    assert f"authorization: bearer {KEY}" in head


async def test_fields_that_clients_need_are_added(server: Running, fake: Any) -> None:
    """The AI SDK's OpenAI provider refuses a choice without `index`."""
    bare = {"choices": [{"delta": {"content": "Hi"}}]}
    fake.answer = sending(bare, {"choices": [{"delta": {}, "finish_reason": "stop"}]}, DONE)
    first, last = (await ask(server, asked())).events()
    assert first["choices"] == [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}]
    assert last["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    assert (first["object"], first["model"]) == ("chat.completion.chunk", "m")
    assert (first["id"], first["created"]) == (last["id"], last["created"])


@pytest.mark.parametrize("shown", [True, False])
async def test_usage_is_asked_for_and_shown_to_those_that_ask(
    server: Running, fake: Any, shown: bool
) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}
    last = {**STOP, "choices": [], "usage": usage}
    fake.answer = sending(chunk({"content": "Hi"}, usage=None), STOP, last, DONE)
    options = {"stream_options": {"include_usage": True}} if shown else {}
    events = (await ask(server, asked(**options))).events()
    assert [event.get("usage") for event in events] == [None, None, usage][: 2 + shown]
    assert fake.questions[0]["stream_options"] == {"include_usage": True}


async def test_azures_chunk_without_choices_is_kept(server: Running, fake: Any) -> None:
    first = {**STOP, "choices": [], "prompt_filter_results": [1]}
    fake.answer = sending(first, chunk({"content": "Hi"}), STOP, DONE)
    assert (await ask(server, asked())).events()[0] == first


async def test_upstreams_comments_and_framing_are_our_own(server: Running, fake: Any) -> None:
    """A comment with an empty line breaks openai-python (openai-python#2722, #3833)."""
    spelt = json.dumps(chunk({"content": "Hi"}))
    lines = f"id: 7\r\nevent: message\r\ndata:{spelt}\r\n\r\n".encode()
    fake.answer = sending(b": PROCESSING\n\n", b"retry: 3\n\n", lines, STOP, DONE)
    shown = await ask(server, asked())
    assert shown.body.startswith(f"data: {spelt}\n\n".encode())
    assert len(shown.events()) == 2


async def test_several_choices_must_all_finish(server: Running, fake: Any) -> None:
    def second(finish: str | None) -> dict[str, Any]:
        value = chunk({"content": "b"}, finish)
        value["choices"][0]["index"] = 1
        return value

    fake.answer = sending(chunk({"content": "a"}, "stop"), second("stop"), DONE)
    assert (await ask(server, asked(n=2))).body.endswith(DONE)
    fake.answer = sending(chunk({"content": "a"}, "stop"), second(None), DONE)
    assert "error" in (await ask(server, asked(n=2))).events()[-1]


@pytest.mark.parametrize(
    "reason", ["stop", "length", "tool_calls", "function_call", "content_filter"]
)
async def test_openais_finish_reasons_are_passed_on(
    server: Running, fake: Any, reason: str
) -> None:
    fake.answer = sending(chunk({"content": "Hi"}, reason), DONE)
    events = (await ask(server, asked())).events()
    assert events[-1]["choices"][0]["finish_reason"] == reason


FAULTS: dict[str, Callable[[Any], Any]] = {
    "an error object": sending(chunk({"content": "a"}), {"error": {"message": KEY}}, DONE),
    "a finish that is none": sending(chunk({"content": "a"}), chunk({}, "error"), DONE),
    "[DONE] without a finish": sending(chunk({"content": "a"}), DONE),
    "an end without a finish": sending(chunk({"content": "a"})),
    "silence": sending(chunk({"content": "a"}), end=False),
    "event: error": sending(chunk({"content": "a"}), b"event: error\ndata: {}\n\n"),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_in_mid_stream_is_an_error_object(
    server: Running, fake: Any, name: str
) -> None:
    """openai-python, openai-node and the AI SDK raise at it; none of them raises at a mere end."""
    fake.answer = FAULTS[name]
    shown = await ask(server, asked())
    first, last = shown.events()
    assert first["choices"][0]["delta"] == {"content": "a"}
    assert set(last) == {"error"}
    assert set(last["error"]) == {"message", "type", "param", "code"}
    assert shown.body.endswith(DONE)
    assert b'"finish_reason": "' not in shown.body


@pytest.mark.parametrize(
    ("status", "code", "headers", "shown", "type"),
    [
        (400, "context_length_exceeded", {}, 400, "invalid_request_error"),
        (404, "model_not_found", {}, 404, "not_found_error"),
        (429, "rate_limit_exceeded", {"Retry-After": "7"}, 429, "rate_limit_error"),
        (429, "insufficient_quota", {}, 429, "rate_limit_error"),
        (500, "server_error", {}, 502, "server_error"),
        (503, None, {}, 503, "server_error"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_a_refusal_is_an_error_object_with_its_status(
    server: Running,
    fake: Any,
    status: int,
    code: str | None,
    headers: dict[str, str],
    shown: int,
    type: str,
    stream: bool,
) -> None:
    async def answer(exchange: Any) -> None:
        exchange.refuse(status, {"message": KEY, "code": code}, headers)

    fake.answer = answer
    got = await ask(server, asked(stream=stream))
    assert (got.status, got.headers["content-type"]) == (shown, "application/json")
    assert (got.error["type"], got.error["param"]) == (type, None)
    if shown in (400, 404) or code == "insufficient_quota":
        assert got.error["code"] == code
        assert got.headers["x-should-retry"] == "false"
        assert "retry-after" not in got.headers
    if headers:
        assert (got.headers["retry-after"], got.headers["retry-after-ms"]) == ("7", "7000")


@pytest.mark.parametrize(
    ("body", "status", "saying"),
    [
        (b"nonsense", 400, "not JSON"),
        (b"[]", 400, "not a JSON object"),
        ({"model": "m"}, 400, "messages: expected"),
        ({"model": "m", "messages": []}, 400, "messages: expected"),
        ({"model": "m", "messages": ["Hi"]}, 400, "messages.0: expected"),
        ({"messages": HELLO}, 400, "model: expected"),
        ({"model": "gpt-9", "messages": HELLO}, 404, "model='gpt-9'"),
        ({"model": "m", "messages": HELLO, "stream": "yes"}, 400, "stream='yes'"),
        (
            {"model": "m", "messages": HELLO, "stream_options": {"include_usage": True}},
            400,
            "beside",
        ),
    ],
)
async def test_a_bad_request_is_an_error_object(
    server: Running, fake: Any, body: Any, status: int, saying: str
) -> None:
    shown = await ask(server, body)
    assert (shown.status, saying in shown.error["message"]) == (status, True)
    assert shown.error["code"] == ("model_not_found" if status == 404 else None)
    assert fake.questions == []


async def test_other_errors_of_v1_are_error_objects_too(server: Running) -> None:
    for method, path, status in [
        ("GET", "/v1/embeddings", 404),
        ("GET", PATH, 405),
        ("POST", PATH + "?x=1", 400),
        ("GET", "/v1/models/none", 404),
    ]:
        shown = await ask(server, asked(), path, method=method)
        assert shown.status == status
        assert set(shown.error) == {"message", "type", "param", "code"}
        assert shown.headers["content-type"] == "application/json"
    shown = await ask(server, asked(), headers={"Host": "evil.test"})
    assert (shown.status, shown.error["type"]) == (403, "permission_error")


async def test_paths_of_durable_streams_keep_their_problems(server: Running) -> None:
    shown = await ask(server, b"", "/v1/stream/x", method="GET")
    assert shown.headers["content-type"] == "application/problem+json"


async def test_a_token_is_asked_for(fake: Any) -> None:
    app = create_app(ChatSettings(upstream=fake.url, model="m", auth_key=SecretStr("k" * 32)))
    async with running(app) as server:
        for method, path in [("POST", PATH), ("GET", "/v1/models")]:
            shown = await ask(server, asked(), path, method=method)
            assert (shown.status, shown.error["code"]) == (401, "invalid_api_key")
            assert shown.headers["www-authenticate"].startswith("Bearer")


async def test_models_are_listed(server: Running) -> None:
    listed = json.loads((await ask(server, b"", "/v1/models", method="GET")).body)
    assert listed["object"] == "list"
    (model,) = listed["data"]
    assert set(model) == {"id", "object", "created", "owned_by"}
    assert json.loads((await ask(server, b"", "/v1/models/m", method="GET")).body) == model


async def test_an_answer_in_one_piece_is_the_upstreams_bytes(server: Running, fake: Any) -> None:
    body = b'{ "choices":[{"index":0,"message":{"role":"assistant"},"finish_reason":"tool_calls"}]}'

    async def answer(exchange: Any) -> None:
        kind = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        exchange.head(200, kind)
        exchange.transport.write(body)

    fake.answer = answer
    shown = await ask(server, asked(stream=False))
    assert (shown.status, shown.body) == (200, body)
    assert shown.headers["content-type"] == "application/json"
    assert fake.questions == [asked(stream=False)]


async def test_an_answer_in_one_piece_without_a_finish_is_an_error(
    server: Running, fake: Any
) -> None:
    async def answer(exchange: Any) -> None:
        exchange.refuse(200, None)

    fake.answer = answer
    assert (await ask(server, asked(stream=False))).status == 502


async def test_pings_are_comments_of_one_line(fake: Any) -> None:
    go_on = asyncio.Event()

    async def answer(exchange: Any) -> None:
        exchange.head()
        await go_on.wait()
        exchange.data(chunk({"content": "Hi"}))
        exchange.end()

    fake.answer = answer
    settings: dict[str, Any] = {"head_after": 0.05, "heartbeat": 0.05}
    app = create_app(ChatSettings(upstream=fake.url, model="m", **settings))
    async with running(app) as server:
        body = json.dumps(asked()).encode()
        stream = await fetch(server.url + PATH, method="POST", body=body)
        assert stream.status == 200
        heard = b""
        while heard.count(b"\n") < 3:
            heard += await stream.read()
        assert heard.replace(b": ping\n", b"") == b""
        go_on.set()
        assert (await stream.body()).replace(b": ping\n", b"").startswith(b"data: {")
        await stream.close()


async def test_the_last_chunk_of_the_body_comes_with_done(server: Running, fake: Any) -> None:
    """openai-python closes at `[DONE]`; it keeps its connection only if the end is there, too."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    body = json.dumps(asked()).encode()
    writer.write(b"POST %b HTTP/1.1\r\nHost: localhost\r\n" % PATH.encode())
    writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    heard, piece = b"", b""
    while b"[DONE]" not in piece:
        piece = await asyncio.wait_for(reader.read(65536), 20)
        heard += piece
    assert heard.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    writer.close()
