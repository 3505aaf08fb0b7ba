"""The forms of an answer, and the end of the upstream's tokens."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from starlette.types import Message

from eddyline.errors import UpstreamError
from eddyline.service.app import Context
from eddyline.telemetry.metrics import StreamMetrics
from eddyline_chat.http import answer
from eddyline_chat.http.answer import AnswerResponse, EventStream, Pace, PlainText, Whole
from eddyline_chat.settings import ChatSettings


def test_events_are_the_lessons() -> None:
    form = EventStream()
    assert form.token('"ü"\n') == b'data: {"token": "\\"\\u00fc\\"\\n"}\n\n'
    assert form.end() == b'data: {"done": true}\n\n'
    assert form.failure("why") == b'event: error\ndata: {"error": "why"}\n\n'


def test_text_is_itself() -> None:
    form = PlainText()
    assert form.token("ü") == "ü".encode()
    assert form.token("\ud83d") == b"?"
    assert (form.end(), form.failure("why")) == (b"", None)


def test_a_whole_answer_is_one_value() -> None:
    form = Whole()
    assert form.token("Hel") == form.token("lo") == b""
    assert json.loads(form.end()) == {"response": "Hello"}


def test_a_whole_answer_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "_WHOLE_LIMIT", 10)
    form = Whole()
    form.token("x" * 10)
    with pytest.raises(UpstreamError, match="more than 10 characters"):
        form.token("x")


async def test_the_tokens_are_closed_though_somebody_holds_them() -> None:
    closed = asyncio.Event()
    sent: list[Message] = []
    body_sent = asyncio.Event()

    async def tokens() -> AsyncGenerator[str, None]:
        try:
            yield "Hello"
        finally:
            closed.set()

    async def send(message: Message) -> None:
        sent.append(message)
        if message["type"] == "http.response.body":
            body_sent.set()
            await asyncio.Event().wait()  # a peer that takes nothing

    async def receive() -> Message:
        await body_sent.wait()
        return {"type": "http.disconnect"}

    context = Context.from_settings(ChatSettings())
    permit = context.limits.admit(None, None)
    held = tokens()
    stream = context.stream(StreamMetrics("chat", "pull"), permit)
    scope: Any = {"type": "http", "method": "POST", "path": "/chat", "http_version": "1.1"}
    await AnswerResponse(held, PlainText(), stream, "demo", Pace(5, 10))(scope, receive, send)
    assert closed.is_set()
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert context.limits.open == 0
