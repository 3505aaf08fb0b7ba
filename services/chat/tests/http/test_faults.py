"""Each fault of an upstream on each route of the lesson: no part passes for the whole, no text that
came is lost, and each status says whether to ask again.

The wire forms are those of real servers; the comment beside each one names them.
"""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import pytest
from prometheus_client import REGISTRY

from eddyline.testing import Running, eventually, fetch, running
from eddyline_chat.app import create_app
from eddyline_chat.settings import ChatSettings

STREAM = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"}

Act = Callable[[Any], object]


@pytest.fixture
async def server(fake: Any) -> AsyncIterator[Running]:
    """A service whose limits are short, in front of the fake upstream."""
    times: dict[str, float] = {"idle_timeout": 0.3, "first_token_timeout": 0.6, "grace": 0.0}
    app = create_app(ChatSettings(upstream=fake.url, model="m", api_key="sk-key", **times))
    async with running(app) as server:
        yield server
        await eventually(lambda: server.app.state.context.limits.open == 0)


def choice(content: Any = None, finish: Any = None, index: int | None = 0, **delta: Any) -> Any:
    delta |= {} if content is None else {"content": content}
    place = {} if index is None else {"index": index}
    return {"choices": [{**place, "delta": delta, "finish_reason": finish}]}


def sent(*pieces: Any, head: bool = True) -> Act:
    """Sends the head and events: bytes as they are, other values as data."""

    def act(exchange: Any) -> None:
        if head:
            exchange.head(200, STREAM)
        for piece in pieces:
            if callable(piece):
                piece(exchange)
            elif isinstance(piece, bytes):
                exchange.raw(piece)
            else:
                exchange.data(piece)

    return act


def over(exchange: Any) -> None:
    exchange.transport.write(b"0\r\n\r\n")


def cut(exchange: Any) -> None:
    exchange.transport.close()


def reset(exchange: Any) -> None:
    exchange.transport.abort()


A, B = choice("one "), choice("two")
STOP = choice(finish="stop")
DONE = b"data: [DONE]\n\n"
TEXT = "one two"


def finished(reason: Any) -> Act:
    return sent(A, choice(finish=reason), DONE, over)


def after(*pieces: Any) -> Act:
    return sent(A, *pieces, DONE, over)


WHOLE: dict[str, Act] = {
    "stop and [DONE]": sent(A, B, STOP, DONE, over),
    "stop without [DONE]": sent(A, B, STOP, over),
    "stop, then the connection is cut": sent(A, B, STOP, cut),
    "stop, then the connection is reset": sent(A, B, STOP, reset),
    "stop, then silence": sent(A, B, STOP),
    "text in the chunk of the finish": sent(A, choice("two", "stop"), DONE, over),
    "empty data": sent(b"data:\n\n", A, b"data: \n\n", B, STOP, DONE, over),
    "empty finish reasons (older gateways)": sent(A, choice("two", ""), STOP, DONE, over),
    "[DONE] with spaces": sent(A, B, STOP, b"data:  [DONE] \n\n", over),
    "junk after [DONE]": sent(A, B, STOP, DONE, b"data: junk\n\n", over),
    "usage last": sent(A, B, STOP, {"choices": [], "usage": {"total_tokens": 1}}, DONE, over),
    "prompt filter first (Azure)": sent(
        {"choices": [], "prompt_filter_results": []}, A, B, STOP, DONE, over
    ),
    "a ping event": sent(b'event: ping\ndata: {"type": "ping"}\n\n', A, B, STOP, DONE, over),
    "content in parts (Mistral)": sent(
        choice([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]),
        choice([{"type": "text", "text": "one "}]),
        B,
        STOP,
        DONE,
        over,
    ),
    "reasoning first (DeepSeek)": sent(choice(reasoning_content="hm"), A, B, STOP, DONE, over),
    "a refusal is the text (OpenAI)": sent(
        choice(refusal="one "), choice(refusal="two"), STOP, DONE, over
    ),
    "two choices (n=2)": sent(
        A, choice("three ", index=1), B, choice("four", "stop", 1), STOP, DONE, over
    ),
    "no index": sent(choice("one ", index=None), choice("two", "stop", None), DONE, over),
    "two choices in one chunk": sent(
        {"choices": [choice("x", index=1)["choices"][0], A["choices"][0]]}, B, STOP, DONE, over
    ),
}

CUT: dict[str, Act] = {
    "finish error (OpenRouter)": finished("error"),
    "finish abort (vLLM)": finished("abort"),
    "finish cancelled": finished("cancelled"),
    "finish insufficient_system_resource (DeepSeek)": finished("insufficient_system_resource"),
    "finish content_filter": finished("content_filter"),
    "finish that is not configured": finished("eos"),
    "finish that is no text": finished(True),
    "finish tool_calls": finished("tool_calls"),
    "event: error": after(b'event: error\ndata: {"message": "x", "type": "overloaded"}\n\n'),
    "event: error with a text": after(b"event: error\ndata: sk-key overloaded\n\n"),
    "event: error after stop": after(STOP, b"event: error\ndata: {}\n\n"),
    "error: as a field (llama.cpp)": after(b'error: {"code": 500, "message": "sk-key"}\n\n'),
    "error: as a field after stop": after(STOP, b"error: x\n\n"),
    "an error object": after({"error": {"message": "sk-key", "type": "server_error"}}),
    "an error object with choices (OpenRouter)": after(
        {"error": {"code": 502}, "choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]}
    ),
    "an error in the choice": after(
        {"choices": [{"index": 0, "error": {"code": "x"}, "finish_reason": "stop"}]}
    ),
    "object: error (older vLLM)": after({"object": "error", "message": "sk-key", "code": 400}),
    "detail (FastAPI)": after({"detail": "sk-key"}),
    "no choices, after stop": after(STOP, {"message": "sk-key"}),
    "[DONE] without a finish": after(),
    "an end without a finish": sent(A, over),
    "a close in the midst": sent(A, cut),
    "a reset in the midst": sent(A, reset),
    "silence in the midst": sent(A),
    "comments alone in the midst": sent(A, *[b": ping\n\n"] * 5),
    "choice 1 stops, choice 0 does not": after(choice(finish="stop", index=1)),
    "text and a tool call": after(choice(tool_calls=[{"index": 0, "id": "x"}])),
    "text and audio": after(choice(audio={"data": "x"})),
    "a part that is no text": after(choice([{"type": "image_url"}])),
    "a chunk that is not JSON": after(b"data: {nonsense\n\n"),
    "a line of text in place of events": sent(A, b"Internal Server Error\n\n", over),
}

EMPTY: dict[str, Act] = {
    "stop alone": sent(STOP, DONE, over),
    "[DONE] alone": sent(DONE, over),
    "nothing": sent(over),
    "reasoning alone": sent(choice(reasoning="hm"), STOP, DONE, over),
    "reasoning up to the limit": sent(choice(reasoning="hm"), choice(finish="length"), DONE, over),
    "thinking parts alone": sent(choice([{"type": "thinking", "thinking": []}]), STOP, DONE, over),
    "a tool call": sent(
        choice(tool_calls=[{"index": 0, "function": {"name": "f"}}]),
        choice(finish="tool_calls"),
        DONE,
        over,
    ),
    "a function call": sent(
        choice(function_call={"name": "f"}), choice(finish="function_call"), DONE, over
    ),
    "choice 1 alone": sent(choice("x", "stop", 1), DONE, over),
    "an error object first": sent({"error": {"message": "sk-key"}}, DONE, over),
    "an error field first": sent(b"error: sk-key\n\n", over),
    "a JSON answer to a stream": lambda e: e.refuse(200, "sk-key"),
    "a close at once": lambda e: e.transport.close(),
    "a reset at once": lambda e: e.transport.abort(),
    "silence": lambda _: None,
    "comments alone": sent(*[b": keep-alive\n\n"] * 5),
}

LIMITED: dict[str, Act] = {
    "length": finished("length"),
    "model_length (Mistral)": finished("model_length"),
    "length in the chunk of the text": sent(choice("one ", "length"), DONE, over),
    "length, then a reset": sent(A, choice(finish="length"), reset),
    "length, then stop": after(choice(finish="length"), STOP),
}


def table(acts: dict[str, Act]) -> Any:
    return pytest.mark.parametrize("act", [pytest.param(a, id=name) for name, a in acts.items()])


class Shown(NamedTuple):
    """The answer of one route: `clean` means that the body had its regular end."""

    status: int
    body: bytes
    clean: bool | None
    headers: dict[str, str]

    def events(self) -> list[str]:
        return self.body.decode().split("\n\n")[:-1]


async def ask(server: Running, fake: Any, act: Act, path: str) -> Shown:
    async def answer(exchange: Any) -> None:
        act(exchange)

    fake.answer = answer
    plain = "?" in path
    body = b"" if plain else b'{"message": "Hello"}'
    headers = {"Content-Length": "0"} if plain else {}
    stream = await fetch(server.url + path, method="POST", body=body, headers=headers)
    try:
        shown = Shown(stream.status, await stream.body(), stream.clean, dict(stream.headers))
    finally:
        await stream.close()
    assert b"sk-key" not in shown.body
    return shown


async def each_route(server: Running, fake: Any, act: Act) -> tuple[Shown, Shown, Shown]:
    """As `/chat`, `/chat/stream` and `/chat/sync` show it."""
    text = await ask(server, fake, act, "/chat?prompt=Hello")
    events = await ask(server, fake, act, "/chat/stream")
    return text, events, await ask(server, fake, act, "/chat/sync")


def token(text: str) -> str:
    return f'data: {{"token": "{text}"}}'


@table(WHOLE)
async def test_whole_answers_are_whole(server: Running, fake: Any, act: Act) -> None:
    text, events, whole = await each_route(server, fake, act)
    assert (text.status, text.body, text.clean) == (200, TEXT.encode(), True)
    assert events.events() == [token("one "), token("two"), events.events()[-1]]
    done = json.loads(events.events()[-1].removeprefix("data: "))
    assert (done["done"], done["finish_reason"]) == (True, "stop")
    assert {"done": True, **json.loads(whole.body)} == {"response": TEXT, **done}


@table(CUT)
async def test_cut_answers_are_never_whole(server: Running, fake: Any, act: Act) -> None:
    text, events, whole = await each_route(server, fake, act)
    assert (text.status, text.body, text.clean) == (200, b"one ", False)
    first, last = events.events()
    assert (first, last.startswith('event: error\ndata: {"error": ')) == (token("one "), True)
    assert whole.status == 502


async def test_an_answer_that_tells_its_failure_counts_as_failed(
    server: Running, fake: Any
) -> None:
    def failed() -> float:
        labels = {"service": "chat", "kind": "pull", "reason": "failed"}
        return REGISTRY.get_sample_value("eddyline_streams_ended_total", labels) or 0.0

    before = failed()
    await ask(server, fake, CUT["[DONE] without a finish"], "/chat/stream")
    assert failed() == before + 1


@table(EMPTY)
async def test_empty_answers_are_errors_with_a_status(server: Running, fake: Any, act: Act) -> None:
    assert [shown.status for shown in await each_route(server, fake, act)] == [502] * 3


@table(LIMITED)
async def test_answers_up_to_the_limit_say_so_and_keep_their_text(
    server: Running, fake: Any, act: Act
) -> None:
    """ "The maximum number of tokens specified in the request was reached": OpenAI's reference."""
    text, events, whole = await each_route(server, fake, act)
    assert (text.body, text.clean) == (b"one ", False)
    assert events.events() == [token("one "), 'data: {"done": true, "finish_reason": "length"}']
    assert (whole.status, json.loads(whole.body)) == (
        200,
        {"response": "one ", "finish_reason": "length"},
    )


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["a\ud83d", "\ude00b"], "a\N{GRINNING FACE}b"),
        (["\ud83d", "\ude00"], "\N{GRINNING FACE}"),
        (["a\ud83d"], "a\N{REPLACEMENT CHARACTER}"),
        (["a\ud83d", "b"], "a\N{REPLACEMENT CHARACTER}b"),
        (["c\ude00"], "c\N{REPLACEMENT CHARACTER}"),
    ],
)
async def test_halves_of_a_surrogate_pair_are_joined(
    server: Running, fake: Any, pieces: list[str], text: str
) -> None:
    frames = [b"data: " + json.dumps(choice(piece)).encode() + b"\n\n" for piece in pieces]
    act = sent(*frames, STOP, DONE, over)
    plain, events, whole = await each_route(server, fake, act)
    assert (plain.body.decode(), plain.clean) == (text, True)
    tokens = [json.loads(event.removeprefix("data: ")) for event in events.events()]
    assert "".join(t.get("token", "") for t in tokens) == text
    assert json.loads(whole.body)["response"] == text


def refused(status: int, code: str | None = None, **headers: str) -> Act:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda exchange: exchange.refuse(status, {"code": code, "message": "sk-key"}, named)


STATUSES: list[tuple[Act, int, str | None]] = [
    (refused(400, "context_length_exceeded"), 400, None),
    (refused(413), 413, None),
    (refused(422), 422, None),
    (refused(404, "model_not_found"), 404, None),
    (refused(404), 502, None),
    (refused(401, "invalid_api_key"), 502, None),
    (refused(403), 502, None),
    (refused(500), 502, None),
    (refused(504), 502, None),
    (refused(429, "rate_limit_exceeded", Retry_After="17"), 429, "17"),
    (refused(429, "insufficient_quota"), 429, None),
    (refused(429, "insufficient_quota", Retry_After="17"), 429, None),
    (refused(429, Retry_After_Ms="1500"), 429, "2"),
    (refused(429, Retry_After_Ms="1500", Retry_After="9"), 429, "2"),
    (refused(429, Retry_After_Ms="soon", Retry_After="9"), 429, "9"),
    (refused(503, Retry_After="3"), 503, "3"),
    (refused(529, "overloaded_error", Retry_After="3"), 503, "3"),
    (refused(302, Location="/elsewhere"), 502, None),
    (refused(307), 502, None),
    (refused(307, Location="http://other.test/v1"), 502, None),
]


@pytest.mark.parametrize(("act", "status", "retry_after"), STATUSES)
async def test_statuses_say_whether_to_ask_again(
    server: Running, fake: Any, act: Act, status: int, retry_after: str | None
) -> None:
    for shown in await each_route(server, fake, act):
        assert (shown.status, shown.headers.get("retry-after")) == (status, retry_after)


async def test_a_redirect_elsewhere_names_the_host_and_is_not_asked(
    server: Running, fake: Any
) -> None:
    act = refused(308, Location="http://other.test/v1?key=sk-key")
    shown = await ask(server, fake, act, "/chat/sync")
    assert json.loads(shown.body)["detail"].endswith(
        "a redirect to other.test, which is not followed"
    )


@pytest.mark.parametrize("status", [307, 308])
async def test_a_redirect_on_the_same_origin_is_followed(
    server: Running, fake: Any, status: int
) -> None:
    def act(exchange: Any) -> None:
        if fake.heads[-1].startswith("POST /v2/chat "):
            sent(A, B, STOP, DONE, over)(exchange)
        else:
            exchange.refuse(status, None, {"Location": "/v2/chat"})

    for shown in await each_route(server, fake, act):
        assert shown.status == 200
    assert all("authorization: bearer" in head.lower() for head in fake.heads)
    assert fake.questions[1] == fake.questions[0]


async def test_a_redirect_in_a_circle_ends(server: Running, fake: Any) -> None:
    act = refused(307, Location="/v1/chat/completions")
    shown = await ask(server, fake, act, "/chat/sync")
    assert "more than 3 redirects" in json.loads(shown.body)["detail"]
