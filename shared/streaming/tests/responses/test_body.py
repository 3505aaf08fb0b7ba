import asyncio
from typing import Any

import pytest
from prometheus_client import REGISTRY
from starlette.background import BackgroundTask
from starlette.types import Message, Scope

from eddyline.responses.body import Body, BodyResponse, send_whole
from eddyline.responses.pull import PullResponse
from eddyline.service.admission import StreamContext
from eddyline.service.app import Context
from eddyline.service.settings import Settings
from eddyline.telemetry.metrics import StreamMetrics

SCOPE: Scope = {"type": "http", "http_version": "1.1", "path": "/", "method": "GET"}
HEAD: Message = {"type": "http.response.start", "status": 200, "headers": []}


def body_message(data: bytes, more: bool) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


def stream_context(context: Context, name: str) -> StreamContext:
    return context.stream(StreamMetrics(name, "pull"), context.limits.admit(None, None))


def ended(name: str) -> list[str]:
    return [
        sample.labels["reason"]
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == "eddyline_streams_ended_total"
        and sample.labels["service"] == name
        and sample.value
    ]


class Sent(list[Message]):
    """An ASGI `send` that keeps its messages."""

    async def __call__(self, message: Message) -> None:
        self.append(message)


async def never() -> Any:
    await asyncio.Event().wait()


async def test_the_head_goes_out_with_the_first_bytes() -> None:
    sent = Sent()
    body = Body(sent, 200, [])
    await body.write(b"")
    assert (sent, body.begun) == ([], False)
    await body.write(b"x")
    await body.end()
    assert sent == [HEAD, body_message(b"x", True), body_message(b"", False)]


async def test_the_head_may_go_out_before_there_are_bytes() -> None:
    sent = Sent()
    body = Body(sent, 200, [])
    await body.begin()
    assert sent == [HEAD]
    await body.end(b"all")
    assert sent == [HEAD, body_message(b"all", False)]


async def test_a_writer_leaves_others_a_turn() -> None:
    body = Body(Sent(), 200, [])
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    for _ in range(10):
        await body.write(b"x")
    task.cancel()
    assert turns >= 9


async def test_a_response_sends_what_its_producer_writes(request: pytest.FixtureRequest) -> None:
    class Greeting(BodyResponse):
        async def send_body(self, body: Body) -> None:
            await body.write(b"hello")
            await body.end()

    context, sent = Context.from_settings(Settings()), Sent()
    response = Greeting(
        stream_context(context, request.node.name), media_type="text/plain", headers={"x": "y"}
    )
    await response(SCOPE, never, sent)
    assert sent[0]["headers"] == [(b"x", b"y"), (b"content-type", b"text/plain; charset=utf-8")]
    assert sent[1:] == [body_message(b"hello", True), body_message(b"", False)]
    assert ended(request.node.name) == ["complete"]
    assert context.limits.open == 0


async def test_a_response_whose_producer_fails_has_no_end(request: pytest.FixtureRequest) -> None:
    class Broken(BodyResponse):
        async def send_body(self, body: Body) -> None:
            await body.write(b"hello")
            raise ValueError("no more")

    context, sent = Context.from_settings(Settings()), Sent()
    response = Broken(
        stream_context(context, request.node.name), media_type="text/plain", headers={}
    )
    await response(SCOPE, never, sent)
    assert sent[1:] == [body_message(b"hello", True)]
    assert ended(request.node.name) == ["failed"]
    assert context.limits.open == 0


async def test_a_whole_body_is_counted_and_its_permit_released(
    request: pytest.FixtureRequest,
) -> None:
    context, name = Context.from_settings(Settings()), request.node.name
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await send_whole(stream_context(context, name), Body(send, 200, []), b"all")
    assert sent == [HEAD, {"type": "http.response.body", "body": b"all", "more_body": False}]
    assert ended(name) == ["complete"]
    assert context.limits.open == 0
    labels = {"service": name, "kind": "pull"}
    assert REGISTRY.get_sample_value("eddyline_sent_bytes_total", labels) == 3
    assert REGISTRY.get_sample_value("eddyline_first_byte_seconds_count", labels) == 1


async def test_a_whole_body_that_cannot_be_sent_releases_its_permit(
    request: pytest.FixtureRequest,
) -> None:
    context = Context.from_settings(Settings())

    async def send(_: Message) -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        await send_whole(stream_context(context, request.node.name), Body(send, 200, []), b"all")
    assert ended(request.node.name) == ["failed"]
    assert context.limits.open == 0


async def test_the_background_task_of_a_route_runs() -> None:
    ran: list[str] = []
    response = PullResponse([b"x"])
    response.background = BackgroundTask(ran.append, "ran")
    await response(SCOPE, never, Sent())
    assert ran == ["ran"]
