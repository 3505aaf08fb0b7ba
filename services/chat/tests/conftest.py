"""A small server with OpenAI's chat completions API on a real port: behaves, and misbehaves, as
the real ones do.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest

from eddyline.errors import StreamingError
from eddyline.testing import eventually
from eddyline_chat.openai.chunk import Chunk
from eddyline_chat.openai.text import Text
from eddyline_chat.upstreams.base import Question, Upstream

STREAM = {"Content-Type": "text/event-stream; charset=utf-8", "Transfer-Encoding": "chunked"}


def chunk(content: str | None = None, *, role: str | None = None, finish: str | None = None) -> Any:
    delta = {k: v for k, v in (("role", role), ("content", content)) if v is not None}
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return _completion([choice]) | {"usage": None}


def usage() -> Any:
    return _completion([]) | {"usage": {"prompt_tokens": 9, "completion_tokens": 2}}


def _completion(choices: list[Any]) -> dict[str, Any]:
    kind = {"object": "chat.completion.chunk", "created": 1790000000, "model": "m"}
    return {"id": "chatcmpl-1", **kind, "choices": choices}


class Exchange(asyncio.Protocol):
    """One connection from the service under test."""

    def __init__(self, server: "FakeOpenAI") -> None:
        self.server = server
        self.transport: Any = None
        self.closed = asyncio.Event()
        self.paused = asyncio.Event()
        self._received = b""
        self._answer: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.server.connections.append(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        if not end or len(body) < int(headers[b"content-length"]):
            return
        self._received = b""
        self.server.heads.append(head.decode())
        self.server.questions.append(json.loads(body))
        self._answer = asyncio.ensure_future(self.server.answer(self))

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()
        if self._answer is not None:
            self._answer.cancel()

    def pause_writing(self) -> None:
        self.paused.set()

    def head(self, status: int = 200, headers: dict[str, str] = STREAM) -> None:
        lines = [f"HTTP/1.1 {status} Whatever", *(f"{k}: {v}" for k, v in headers.items())]
        self.transport.write("\r\n".join([*lines, "", ""]).encode())

    def raw(self, body: bytes) -> None:
        self.transport.write(b"%x\r\n%b\r\n" % (len(body), body))

    def data(self, payload: Any) -> None:
        self.raw(b"data: " + json.dumps(payload, ensure_ascii=False).encode() + b"\n\n")

    def tokens(self, *tokens: str) -> None:
        self.head()
        self.data(chunk("", role="assistant"))
        for token in tokens:
            self.data(chunk(token))

    def end(self, *, finish: str | None = "stop", done: bool = True) -> None:
        if finish is not None:
            self.data(chunk(finish=finish))
        if done:
            self.raw(b"data: [DONE]\n\n")
        self.transport.write(b"0\r\n\r\n")

    def refuse(self, status: int, error: Any, headers: dict[str, str] | None = None) -> None:
        body = json.dumps({"error": error}).encode()
        fixed = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        self.head(status, fixed | (headers or {}))
        self.transport.write(body)


class Gathered:
    """A receiver: the texts of an answer, and its end."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.some = asyncio.Event()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._text = Text()

    def ask(self, upstream: Upstream, **body: Any) -> Any:
        question = {"messages": [{"role": "user", "content": "Hello"}], **body}
        return upstream.ask(Question(question), self)

    def on_chunks(self, chunks: Sequence[Chunk]) -> None:
        for chunk in chunks:
            if text := self._text.take(chunk):
                self.texts.append(text)
                self.some.set()

    def on_end(self, error: StreamingError | None, chunks: Sequence[Chunk] = ()) -> None:
        self.on_chunks(chunks)
        if error is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(error)

    async def whole(self, upstream: Upstream) -> list[str]:
        """All texts; raises the error of an answer that has one."""
        exchange = self.ask(upstream)
        try:
            await asyncio.wait_for(self.ended, 20)
        finally:
            exchange.close()
        return self.texts


class FakeOpenAI:
    """`answer` serves each request; the questions are kept."""

    def __init__(self) -> None:
        self.url = ""
        self.answer: Callable[[Exchange], Awaitable[None]] = whole_answer
        self.heads: list[str] = []
        self.questions: list[Any] = []
        self.connections: list[Exchange] = []

    async def asked(self, count: int = 1) -> None:
        """Returns when `count` questions have arrived."""
        await eventually(lambda: len(self.questions) >= count)


async def whole_answer(exchange: Exchange) -> None:
    exchange.tokens("Hel", "lo")
    exchange.end()


@pytest.fixture
def gather() -> type[Gathered]:
    return Gathered


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenAI]:
    """Its behaviour is set by `fake.answer = ...`; connections must be gone at the end."""
    server = FakeOpenAI()
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: Exchange(server), "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1"
    yield server
    listener.close()
    for connection in server.connections:
        connection.transport.abort()
    await asyncio.gather(*(connection.closed.wait() for connection in server.connections))
