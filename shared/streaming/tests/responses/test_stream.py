import asyncio
from typing import Any

import pytest
from prometheus_client import REGISTRY
from starlette.types import Message, Scope

from eddyline.connection.base import StreamClosed
from eddyline.responses.stream import ByteStream
from eddyline.service.admission import StreamContext
from eddyline.service.app import Context
from eddyline.service.settings import Settings
from eddyline.telemetry.metrics import StreamMetrics

SCOPE: Scope = {"type": "http", "http_version": "1.1", "path": "/", "method": "GET"}
HEAD: Message = {"type": "http.response.start", "status": 200, "headers": []}


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


async def never() -> Any:
    await asyncio.Event().wait()


async def test_a_fault_before_the_head_is_raised(request: pytest.FixtureRequest) -> None:
    """So that the exception handlers can still answer it."""
    context = Context.from_settings(Settings())

    async def send(_: Message) -> None:
        raise AssertionError("nothing is to be sent")

    async def body() -> None:
        raise ValueError("not even begun")

    with pytest.raises(ValueError, match="not even begun"):
        await ByteStream(stream_context(context, request.node.name), SCOPE, send).run(never, body)
    assert ended(request.node.name) == ["failed"]
    assert context.limits.open == 0


async def test_a_server_whose_send_raises_means_that_the_client_left(
    request: pytest.FixtureRequest,
) -> None:
    """ASGI 2.4: `send` raises OSError; it must not pass for a fault of the producer's disk."""
    context = Context.from_settings(Settings())

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            raise BrokenPipeError

    async def body() -> None:
        await stream.send(HEAD)
        with pytest.raises(StreamClosed):
            await stream.send({"type": "http.response.body", "body": b"x", "more_body": True})
        raise StreamClosed

    stream = ByteStream(stream_context(context, request.node.name), SCOPE, send)
    await stream.run(never, body)
    assert ended(request.node.name) == ["client_closed"]


async def test_a_cancelled_request_releases_all(request: pytest.FixtureRequest) -> None:
    context = Context.from_settings(Settings())
    closed = asyncio.Event()

    async def send(_: Message) -> None:
        pass

    async def body() -> None:
        try:
            await never()
        finally:
            closed.set()

    stream = ByteStream(stream_context(context, request.node.name), SCOPE, send)
    running = asyncio.create_task(stream.run(never, body))
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait({running})
    assert running.cancelled()
    assert closed.is_set()
    assert context.limits.open == 0
    assert ended(request.node.name) == ["closed"]


async def test_a_disconnect_after_the_end_is_complete(request: pytest.FixtureRequest) -> None:
    """Servers say `http.disconnect` once the response is complete, too."""
    context = Context.from_settings(Settings())
    complete = asyncio.Event()

    async def send(message: Message) -> None:
        if not message.get("more_body", True):
            complete.set()

    async def receive() -> Message:
        await complete.wait()
        return {"type": "http.disconnect"}

    async def body() -> None:
        await stream.send(HEAD)
        await stream.send({"type": "http.response.body", "body": b"all", "more_body": False})
        await never()

    stream = ByteStream(stream_context(context, request.node.name), SCOPE, send)
    await stream.run(receive, body)
    assert ended(request.node.name) == ["complete"]


async def test_a_producer_that_closes_its_source_is_not_cancelled_again(
    request: pytest.FixtureRequest,
) -> None:
    """httpcore marks a connection as closed, and then awaits its end: a cancellation there leaves
    the connection open.
    """
    context = Context.from_settings(Settings())
    left, closed = asyncio.Event(), asyncio.Event()

    async def receive() -> Message:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            left.set()
            await asyncio.sleep(0)  # the client's leaving is seen during the send

    async def body() -> None:
        try:
            await stream.send(HEAD)
            await stream.send({"type": "http.response.body", "body": b"x", "more_body": True})
        finally:
            for _ in range(10):  # turns of the loop, in which the cancellation would come
                await asyncio.sleep(0)
            closed.set()

    stream = ByteStream(stream_context(context, request.node.name), SCOPE, send)
    await stream.run(receive, body)
    assert closed.is_set()
    assert ended(request.node.name) == ["client_closed"]


async def test_a_producer_that_sends_while_it_is_closed_is_told(
    request: pytest.FixtureRequest,
) -> None:
    context = Context.from_settings(Settings())
    told = asyncio.Event()

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        pass

    async def body() -> None:
        try:
            await never()
        finally:
            with pytest.raises(StreamClosed):
                await stream.send(HEAD)
            told.set()

    stream = ByteStream(stream_context(context, request.node.name), SCOPE, send)
    await stream.run(receive, body)
    assert told.is_set()
