"""The lesson's routes, on a real server and port, with the demo and with a fake upstream that
fails in every way.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import jwt
import pytest
from pydantic import SecretStr

from eddyline.service.app import Context, Service
from eddyline.service.app import create_app as create_suite
from eddyline.testing import Running, Stream, eventually, fetch, running
from eddyline_chat.app import create_app
from eddyline_chat.http.answers import Answers
from eddyline_chat.http.routes import ChatApi
from eddyline_chat.settings import ChatSettings
from eddyline_chat.upstreams.base import Upstream, Upstreams
from eddyline_chat.upstreams.scripted import Scripted

KEY = "sk-not-to-be-seen"

DONE = '{"done": true, "finish_reason": "stop"}'

Serve = Callable[..., Any]


@pytest.fixture
async def serve(fake: Any) -> AsyncIterator[Serve]:
    """Starts the service before the fake upstream; every stream must have been given back at the
    end.
    """
    async with AsyncExitStack() as stack:
        servers: list[Running] = []

        async def start(http: str = "", **fields: Any) -> Running:
            settings = {
                "upstream": fake.url,
                "model": "m",
                "api_key": SecretStr(KEY),
                "grace": 0.0,
            } | fields
            app = create_app(ChatSettings(**settings))
            options = {"http": http} if http else {}
            servers.append(await stack.enter_async_context(running(app, **options)))
            return servers[-1]

        yield start
        for server in servers:
            await released(server)


async def released(server: Running) -> None:
    await eventually(lambda: server.app.state.context.limits.open == 0)


@asynccontextmanager
async def post(
    server: Running, path: str, body: Any = None, **options: Any
) -> AsyncIterator[Stream]:
    payload = b"" if body is None else json.dumps(body).encode()
    headers = {"Content-Length": "0"} if body is None else {}
    headers |= options.pop("headers", {})
    url = server.url + path
    stream = await fetch(url, method="POST", body=payload, headers=headers, **options)
    try:
        yield stream
    finally:
        await stream.close()


def ask(server: Running, **options: Any) -> Any:
    return post(server, "/chat/stream", {"message": "Hello"}, **options)


async def test_the_lessons_words_come_one_by_one(serve: Serve) -> None:
    server = await serve(upstream="demo")
    began = time.monotonic()
    async with post(server, "/chat?prompt=Hello") as stream:
        assert stream.status == 200
        assert stream.headers["content-type"] == "text/plain; charset=utf-8"
        assert stream.headers["x-chat-upstream"] == "demo (simulated)"
        chunks = [chunk async for chunk in stream.chunks()]
    assert b"".join(chunks).decode() == (
        "Here is my response to 'Hello': This is a streaming response that appears word by word. "
    )
    assert len(chunks) == 16
    assert stream.clean
    assert time.monotonic() - began > 1.4


async def test_the_lessons_events_byte_for_byte(serve: Serve) -> None:
    server = await serve(upstream="demo")
    async with post(server, "/chat/stream", {"message": "H"}) as stream:
        assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert stream.headers["cache-control"] == "no-cache, no-transform"
        body = await stream.body()
    text = "You said: H. Here's my thoughtful response about that topic."
    frames = [f'data: {{"token": "{char}"}}\n\n' for char in text]
    assert body.decode() == "".join(frames) + 'data: {"done": true}\n\n'
    assert stream.clean


async def test_the_lessons_whole_answer_takes_two_seconds(serve: Serve) -> None:
    server = await serve(upstream="demo")
    began = time.monotonic()
    async with post(server, "/chat/sync", {"message": "Hello"}) as stream:
        assert await stream.json() == {"response": "You said: Hello. Here's my response."}
        assert stream.headers["content-type"] == "application/json"
    assert time.monotonic() - began > 1.9


async def test_tokens_of_an_upstream_in_each_form(serve: Serve, fake: Any) -> None:
    server = await serve()
    async with ask(server) as stream:
        events = [json.loads(event.data) for event in await stream.events()]
        assert events == [
            {"token": "Hel"},
            {"token": "lo"},
            {"done": True, "finish_reason": "stop"},
        ]
        assert "demo" not in stream.headers["x-chat-upstream"]
    async with post(server, "/chat?prompt=Hello") as stream:
        assert await stream.body() == b"Hello"
    async with post(server, "/chat/sync", {"message": "Hello"}) as stream:
        assert await stream.json() == {"response": "Hello", "finish_reason": "stop"}
    asked = [question["messages"] for question in fake.questions]
    assert asked == [[{"role": "user", "content": "Hello"}]] * 3


async def test_a_conversation_goes_to_the_upstream_in_order(serve: Serve, fake: Any) -> None:
    server = await serve()
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    body = {"system": "Be brief.", "messages": turns, "message": "Bye"}
    async with post(server, "/chat/sync", body) as stream:
        assert stream.status == 200
    system, last = {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Bye"}
    assert fake.questions[0]["messages"] == [system, *turns, last]


async def test_an_empty_answer_is_an_error(serve: Serve, fake: Any) -> None:
    async def answer(exchange: Any) -> None:
        exchange.tokens()
        exchange.end()

    fake.answer = answer
    server = await serve()
    async with post(server, "/chat?prompt=Hello") as stream:
        assert stream.status == 502
        assert (await stream.json())["detail"] == (
            "the upstream's answer has no text (finish reason stop)"
        )


PATHS = [("/chat?prompt=Hello", None), ("/chat/stream", "Hello"), ("/chat/sync", "Hello")]


@pytest.mark.parametrize(("path", "message"), PATHS)
async def test_a_refusal_before_the_first_token_is_a_real_status(
    serve: Serve, fake: Any, path: str, message: str | None
) -> None:
    async def answer(exchange: Any) -> None:
        exchange.refuse(401, {"message": f"bad key {KEY}", "code": "invalid_api_key"})

    fake.answer = answer
    server = await serve()
    body = None if message is None else {"message": message}
    async with post(server, path, body) as stream:
        assert stream.status == 502
        assert stream.headers["content-type"] == "application/problem+json"
        problem = await stream.json()
    assert problem["detail"] == "the upstream answered 401 (invalid_api_key)"
    assert KEY not in json.dumps(problem)


@asynccontextmanager
async def serving(upstream: Upstream, **settings: Any) -> AsyncIterator[Running]:
    """The routes over one upstream of the test's own."""
    fields = ChatSettings(**settings)
    context = Context.from_settings(fields)
    answers = Answers(context, fields)
    answers.upstreams = Upstreams("scripted", "m", upstream, upstream, upstream, upstream)
    service = Service("chat", ChatApi(answers, fields).routes())
    async with running(create_suite(context, [service], "Test")) as server:
        yield server
        await released(server)


async def test_an_upstream_of_ones_own_answers() -> None:
    scripted = Scripted("Hel", "lo")
    async with serving(scripted) as server:
        async with post(server, "/chat?prompt=Hi") as stream:
            assert stream.headers["x-chat-upstream"] == "scripted"
            assert await stream.body() == b"Hello"
        async with ask(server) as stream:
            events = [json.loads(event.data) for event in await stream.events()]
    assert events == [{"token": "Hel"}, {"token": "lo"}, json.loads(DONE)]
    asked = [question.body["messages"] for question in scripted.questions]
    assert [messages[0]["content"] for messages in asked] == ["Hi", "Hello"]


@pytest.mark.parametrize(
    "fault",
    [
        "eddyline_chat.upstreams.scripted.Scripted.ask",
        "eddyline_chat.http.message.passed_on",
        "eddyline_chat.http.answers.Answer",
        "starlette.responses.Response.init_headers",
    ],
)
@pytest.mark.parametrize(("path", "message"), PATHS)
async def test_a_fault_between_admission_and_answer_gives_the_permit_back(
    monkeypatch: pytest.MonkeyPatch, fault: str, path: str, message: str | None
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a fault")

    body = None if message is None else {"message": message}
    async with serving(Scripted("Hello"), limit_streams=1) as server:
        with monkeypatch.context() as patch:
            patch.setattr(fault, broken)
            for _ in range(3):
                async with post(server, path, body) as stream:
                    assert stream.status == 500
                await eventually(lambda: server.app.state.context.limits.open == 0)
        async with post(server, path, body) as stream:
            assert b"Hello" in await stream.body()


async def test_a_rate_limit_is_passed_on(serve: Serve, fake: Any) -> None:
    async def answer(exchange: Any) -> None:
        exchange.refuse(429, {"code": "rate_limit_exceeded"}, {"Retry-After": "17"})

    fake.answer = answer
    server = await serve()
    async with ask(server) as stream:
        assert (stream.status, stream.headers["retry-after"]) == (429, "17")
        assert (await stream.json())["title"] == "Upstream is busy"


async def cut_mid_frame(exchange: Any) -> None:
    exchange.tokens("Hel")
    exchange.raw(b'data: {"choi')
    exchange.transport.close()


async def error_mid_stream(exchange: Any) -> None:
    exchange.tokens("Hel")
    exchange.data({"error": {"message": KEY, "type": "server_error"}})


async def no_done(exchange: Any) -> None:
    exchange.tokens("Hel")
    exchange.end(finish=None, done=False)


FAULTS = [cut_mid_frame, error_mid_stream, no_done]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("http", ["", "httptools"])
async def test_a_short_event_stream_ends_in_an_error_and_no_done(
    serve: Serve, fake: Any, fault: Any, http: str
) -> None:
    fake.answer = fault
    server = await serve(http)
    async with ask(server) as stream:
        events = await stream.events()
    assert [event.event for event in events] == ["message", "error"]
    assert "upstream" in json.loads(events[-1].data)["error"]
    assert KEY not in events[-1].data


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("http", ["", "httptools"])
async def test_a_short_text_ends_as_a_broken_connection(
    serve: Serve, fake: Any, fault: Any, http: str
) -> None:
    fake.answer = fault
    server = await serve(http)
    async with post(server, "/chat?prompt=Hello") as stream:
        assert await stream.body() == b"Hel"
    assert stream.clean is False


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_short_answer_is_no_whole_one(serve: Serve, fake: Any, fault: Any) -> None:
    fake.answer = fault
    server = await serve()
    async with post(server, "/chat/sync", {"message": "Hello"}) as stream:
        assert stream.status == 502


async def first_token_only(exchange: Any) -> None:
    exchange.tokens("Hel")


async def silence(exchange: Any) -> None:
    pass


@pytest.mark.parametrize("answer", [first_token_only, silence])
@pytest.mark.parametrize("path", ["/chat/stream", "/chat/sync"])
@pytest.mark.parametrize("http", ["", "httptools"])
async def test_the_upstream_is_left_when_the_client_leaves(
    serve: Serve, fake: Any, answer: Any, path: str, http: str
) -> None:
    fake.answer = answer
    server = await serve(http)
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    body = b'{"message": "Hello"}'
    writer.write(b"POST %b HTTP/1.1\r\nHost: localhost\r\n" % path.encode())
    writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    await asyncio.wait_for(fake.asked(), 20)
    assert not fake.connections[0].closed.is_set()
    writer.close()
    await asyncio.wait_for(fake.connections[0].closed.wait(), 20)


@pytest.mark.parametrize("http", ["", "httptools"])
async def test_a_client_that_does_not_read_holds_the_upstream_up(
    serve: Serve, fake: Any, http: str
) -> None:
    async def answer(exchange: Any) -> None:
        exchange.tokens()
        while not exchange.paused.is_set():
            exchange.data({"choices": [{"delta": {"content": "x" * 65536}}]})
            await asyncio.sleep(0)

    fake.answer = answer
    server = await serve(http)
    async with ask(server, receive_buffer=4096):
        # Some megabytes fit into the kernel's buffers on the way; the rest waits.
        await asyncio.wait_for(fake.connections[0].paused.wait(), 20)
    await asyncio.wait_for(fake.connections[0].closed.wait(), 20)


async def test_a_silent_upstream_is_given_up(serve: Serve, fake: Any) -> None:
    fake.answer = silence
    server = await serve(first_token_timeout=0.05)
    async with ask(server) as stream:
        assert stream.status == 502
        assert "sent no token for 0.05 seconds" in (await stream.json())["detail"]


@pytest.mark.parametrize("http", ["", "httptools"])
async def test_a_drain_ends_an_unfinished_answer_with_an_error(
    serve: Serve, fake: Any, http: str
) -> None:
    fake.answer = first_token_only
    server = await serve(http, drain_window=0.2)
    async with ask(server) as stream, post(server, "/chat?prompt=Hello") as text:
        await stream.event()
        await text.read()
        stopping = asyncio.create_task(server.stop())
        event = await stream.event()
        assert event is not None
        assert (event.event, "stopping" in event.data) == ("error", True)
        assert await stream.event() is None
        assert await text.body() == b""
        assert text.clean is False
        await stopping


async def test_a_drain_lets_an_answer_finish(serve: Serve, fake: Any) -> None:
    draining = asyncio.Event()

    async def answer(exchange: Any) -> None:
        exchange.tokens("Hel")
        await draining.wait()
        exchange.end()

    fake.answer = answer
    server = await serve(drain_window=5)
    async with ask(server) as stream:
        await stream.event()
        stopping = asyncio.create_task(server.stop())
        await eventually(lambda: server.app.state.context.drain.draining)
        draining.set()
        assert [event.data for event in await stream.events()] == [DONE]
        await stopping


async def test_an_expired_token_cuts_the_answer(serve: Serve, fake: Any) -> None:
    fake.answer = first_token_only
    key = "k" * 32
    server = await serve(auth_key=SecretStr(key))
    token = mint_token(key, "chat:complete", time.time() + 1.2)
    async with ask(server, headers={"Authorization": f"Bearer {token}"}) as stream:
        assert stream.status == 200
        assert [event.event for event in await stream.events()] == ["message"]
        assert stream.clean is False


async def test_the_scope_is_needed(serve: Serve) -> None:
    key = "k" * 32
    server = await serve(auth_key=SecretStr(key))
    async with ask(server) as stream:
        assert stream.status == 401
    token = mint_token(key, "logs:read", time.time() + 60)
    async with ask(server, headers={"Authorization": f"Bearer {token}"}) as stream:
        assert stream.status == 403
        assert "chat:complete" in (await stream.json())["detail"]


@pytest.mark.parametrize(
    ("path", "body", "status", "saying"),
    [
        ("/chat?prompt=", None, 400, "prompt is empty"),
        ("/chat", None, 422, "prompt"),
        ("/chat?prompt=" + "x" * 101, None, 413, "prompt has 101 bytes: at most 100"),
        ("/chat/stream", {"message": ""}, 400, "message is empty"),
        ("/chat/stream", {}, 400, "message: Field required"),
        ("/chat/sync", {"message": "x" * 101}, 413, "message has 101 bytes: at most 100"),
        ("/chat/sync", {"message": "x" * 9999}, 413, "the body has more than 2000 bytes"),
        ("/chat/sync", {"messages": [{"role": "tool", "content": "a"}]}, 400, "messages.0.role"),
        ("/chat/sync", {"message": "a", "system": ""}, 400, "system is empty"),
    ],
)
async def test_a_bad_request_is_named(
    serve: Serve, fake: Any, path: str, body: Any, status: int, saying: str
) -> None:
    server = await serve(message_limit=100, request_limit=2000)
    async with post(server, path, body) as stream:
        assert stream.status == status
        assert saying in (await stream.json())["detail"]
    assert fake.questions == []


def mint_token(key: str, scope: str, expires: float) -> str:
    return jwt.encode({"sub": "a", "scope": scope, "exp": expires}, key, algorithm="HS256")
