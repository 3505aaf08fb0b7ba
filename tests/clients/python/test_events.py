"""Events by the Python client: published once under all faults, and read without a gap."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from eddyline.client import (
    AsyncClient,
    EventSource,
    Failed,
    Message,
    Publication,
    Published,
    Refused,
    Rejected,
    Reset,
    StateFileError,
)
from eddyline.client.events.messages import loads
from eddyline.testing import FaultProxy, Running, eventually, running, serving
from eddyline_events.app import create_app
from eddyline_events.settings import EventsSettings


async def all_of(client: AsyncClient, *topics: str) -> list[Any]:
    return [message.data for message in (await client.history(*topics, limit=1000)).messages]


async def test_a_message_arrives_as_it_was_published(client: AsyncClient) -> None:
    async with client.subscribe("orders", after="earliest") as events:
        sent = {"id": 7, "big": 2**53 + 1, "text": "ü"}
        id = await client.publish("orders", sent, event="paid", id="own-1")
        message = await anext(events)
    assert isinstance(message, Message)
    assert (message.topic, message.data, message.event) == ("orders", sent, "paid")
    assert message.id == id == "own-1"
    assert message.time is not None


def test_numbers_beyond_64_bits_stay_exact() -> None:
    """RFC 8259 section 6 sets no bound; orjson rounds such numbers without a word."""
    assert loads("123456789012345678901234567890") == 123456789012345678901234567890


async def test_many_are_published_whole_or_not_at_all(client: AsyncClient) -> None:
    ids = await client.publish_many([{"topic": "a", "data": n} for n in range(5)])
    assert len(set(ids)) == 5
    with pytest.raises(Refused) as refused:
        await client.publish_many([{"topic": "a", "data": 5}, {"topic": "", "data": 6}])
    assert refused.value.status == 400
    assert await all_of(client, "a") == [0, 1, 2, 3, 4]
    assert await client.publish_many([]) == []


async def test_an_attempt_whose_answer_was_lost_publishes_once(
    hub: Running, proxy: FaultProxy, behind_proxy: AsyncClient, client: AsyncClient
) -> None:
    # The request arrives whole; of the answer nothing, or a part.
    for number in range(8):
        proxy.cut_after = random.choice([1, 20, 120])
        publishing = asyncio.ensure_future(behind_proxy.publish("orders", number))
        await eventually(lambda n=number: _is_there(client, n))
        proxy.cut_after = None
        assert await publishing
        proxy.cut()
    assert await all_of(client, "orders") == list(range(8))


async def _is_there(client: AsyncClient, number: int) -> bool:
    return number in await all_of(client, "orders")


async def test_a_key_of_the_caller_outlives_the_call(client: AsyncClient) -> None:
    first = await client.publish("orders", 1, key="order-1")
    assert await client.publish("orders", 1, key="order-1") == first
    with pytest.raises(Refused) as refused:
        await client.publish("orders", 2, key="order-1")
    assert refused.value.status == 422


async def test_lines_are_published_in_order_though_connections_break(
    proxy: FaultProxy, behind_proxy: AsyncClient, client: AsyncClient
) -> None:
    total = 3000

    async def source() -> AsyncIterator[Publication]:
        for number in range(total):
            if number % 700 == 3:
                proxy.cut_after = random.randrange(1, 20_000)
                proxy.cut()
            elif number % 700 == 500:
                proxy.cut_after = None
            yield {"topic": "t", "data": number}
        proxy.cut_after = None

    lifting = asyncio.ensure_future(_lift(proxy))
    results = [result async for result in behind_proxy.publish_lines(source())]
    lifting.cancel()
    assert all(isinstance(result, Published) for result in results)
    assert len({result.id for result in results if isinstance(result, Published)}) == total
    seen: list[Any] = []
    after = "earliest"
    while True:
        page = await client.history("t", after=after, limit=1000)
        seen += [message.data for message in page.messages]
        after = page.cursor
        if not page.more:
            break
    assert seen == list(range(total))


async def _lift(proxy: FaultProxy) -> None:
    """A fault lasts for a while only: the client's patience is longer."""
    while True:
        await asyncio.sleep(1.0)  # sleep: the length of a fault
        proxy.cut_after = None


async def test_a_line_that_is_refused_holds_no_other_up(client: AsyncClient) -> None:
    lines: list[Any] = [{"topic": "t", "data": n} for n in range(1200)]
    lines[700] = {"topic": "", "data": 700}
    results = [result async for result in client.publish_lines(lines)]
    rejected = [result for result in results if isinstance(result, Rejected)]
    assert [(each.index, each.status) for each in rejected] == [(700, 400)]
    assert len(results) == 1200


async def test_a_hub_that_is_away_is_waited_for_and_then_named() -> None:
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head)
        body = b'{"detail": "Redis is away"}'
        writer.write(
            b"HTTP/1.1 503 No\r\nContent-Type: application/problem+json\r\nRetry-After: 0\r\n"
            b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        await writer.drain()
        writer.close()

    async with serving(answer) as port:
        async with AsyncClient(f"http://127.0.0.1:{port}", patience=0.8) as client:
            with pytest.raises(Failed, match="Redis is away") as failed:
                await client.publish("t", 1)
    assert failed.value.status == 503
    assert len(asked) > 1
    keys = {_header(head, "idempotency-key") for head in asked}
    assert len(keys) == 1
    assert all(keys)


def _header(head: bytes, name: str) -> str:
    lines = dict(line.partition(": ")[::2] for line in head.decode().lower().split("\r\n"))
    return lines.get(name, "")


async def test_nobody_there_is_a_failure_without_a_status() -> None:
    async with AsyncClient("http://127.0.0.1:1", patience=0.1) as client:
        with pytest.raises(Failed) as failed:
            await client.publish("t", 1)
    assert failed.value.status == 0


async def test_a_gap_comes_as_a_reset(client: AsyncClient) -> None:
    await client.publish("t", 1)
    async with client.subscribe("t", after="0000.1") as events:
        first = await anext(events)
    assert isinstance(first, Reset)
    assert first.reason == "epoch"


async def test_a_state_file_goes_on_after_the_message_that_was_handled(
    client: AsyncClient, tmp_path: Path
) -> None:
    path = tmp_path / "place"
    await client.publish_many([{"topic": "t", "data": n} for n in range(6)])
    seen = []
    async with client.subscribe("t", after="earliest", state_file=path) as events:
        async for message in events:
            assert isinstance(message, Message)
            seen.append(message.data)
            if len(seen) == 3:
                break
    # The third was taken, and nobody has said that it was handled.
    async with client.subscribe("t", after="earliest", state_file=path) as events:
        message = await anext(events)
        assert isinstance(message, Message)
        assert message.data == 2
        events.save()
    async with client.subscribe("t", state_file=path) as events:
        message = await anext(events)
        assert isinstance(message, Message)
        assert message.data == 3


async def test_a_state_file_is_of_one_stream_and_one_process(
    client: AsyncClient, tmp_path: Path
) -> None:
    path = tmp_path / "place"
    await client.publish("t", 1)
    async with client.subscribe("t", after="earliest", state_file=path) as events:
        await anext(events)
        events.save()
        with pytest.raises(StateFileError, match="in use"):
            client.subscribe("t", state_file=path)
    with pytest.raises(StateFileError, match="name another file"):
        client.subscribe("other", state_file=path)
    path.write_text("{half")
    with pytest.raises(StateFileError, match="remove it to begin anew"):
        client.subscribe("t", state_file=path)


async def test_topics_presence_kicks_and_tickets() -> None:
    async with running(create_app(EventsSettings(presence_grace=0.1))) as hub:
        async with AsyncClient(hub.url) as client:
            await client.publish_many([{"topic": f"t/{n}", "data": n} for n in range(3)])
            assert [topic.topic async for topic in client.topics()] == ["t/2", "t/1", "t/0"]
            stream = await _subscriber(client)
            try:
                [subscriber] = await eventually(lambda: client.subscribers("t/1"))
                assert subscriber.topics == ["t/1"]
                await client.kick_subscriber(subscriber.id)
                await client.kick_subject("mallory")
                await client.kick_token("some-jti")
            finally:
                stream.cancel()
            ticket = await client.ticket()
            url = f"{hub.url}/events?topic=t/1&after=earliest"
            async with EventSource(url, ticket=ticket.ticket) as events:
                assert json.loads((await anext(events)).data) == 1


async def _subscriber(client: AsyncClient) -> "asyncio.Task[None]":
    async def read() -> None:
        async with client.subscribe("t/1") as events:
            async for _ in events:
                pass

    return asyncio.create_task(read())


async def test_the_token_goes_with_each_request() -> None:
    import jwt

    key = "k" * 32
    made = 0

    def token() -> str:
        nonlocal made
        made += 1
        claims = {"sub": "a", "scope": "events:publish events:subscribe", "exp": 9_999_999_999}
        return jwt.encode(claims, key, "HS256")

    settings: Any = {"auth_key": key}
    async with running(create_app(EventsSettings(**settings))) as hub:
        async with AsyncClient(hub.url, token=token) as client:
            await client.publish("t", 1)
            assert await all_of(client, "t") == [1]
            with pytest.raises(Refused, match="events:kick") as refused:
                await client.kick_subject("b")
            assert refused.value.status == 403
        async with AsyncClient(hub.url) as stranger:
            with pytest.raises(Refused) as refused:
                await stranger.publish("t", 1)
            assert refused.value.status == 401
    assert made == 3


async def test_a_suite_below_a_path_is_found(hub: Running) -> None:
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readline()).decode())
        writer.close()

    async with serving(answer) as port:
        async with AsyncClient(f"http://127.0.0.1:{port}/suite/", patience=0) as client:
            with pytest.raises(Failed):
                await client.history("a b", limit=1)
    assert asked[0].startswith("GET /suite/events/history?topic=a+b&limit=1 ")
