"""Topics by the protocol Durable Streams (PROTOCOL.md, sections 5.5 to 5.8), read-only."""

import asyncio
from typing import Any

import orjson
import pytest

from eddyline.durable.offset import from_cursor
from eddyline.journal.cursor import Cursor
from eddyline.testing import Running, Stream, fetch

NEXT = "stream-next-offset"


async def get(hub: Running, query: str, **headers: str) -> tuple[Stream, Any]:
    async with await fetch(f"{hub.url}/events?{query}", headers=headers) as stream:
        body = await stream.body()
        return stream, orjson.loads(body) if body else None


async def control(stream: Stream) -> tuple[list[Any], dict[str, Any]]:
    """The messages up to the next control event, and that event."""
    messages = []
    while (event := await stream.event()).event == "data":
        messages += orjson.loads(event.data)
    assert event.event == "control"
    return messages, orjson.loads(event.data)


def data(messages: list[Any]) -> list[Any]:
    return [message["data"] for message in messages]


@pytest.fixture
def numbers(publish: Any) -> Any:
    async def send(hub: Running, topic: str, *values: int) -> None:
        status, _ = await publish(hub, [{"topic": topic, "data": value} for value in values])
        assert status == 201

    return send


async def test_pages_join_to_the_topic_and_end_at_its_tail(hub, numbers):
    for n in range(5):
        await numbers(hub, "other", n)
        await numbers(hub, "orders", n)
    answer, messages = await get(hub, "topic=orders&offset=-1")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert data(messages) == [0, 1, 2, 3, 4]
    assert {message["topic"] for message in messages} == {"orders"}
    assert answer.headers["stream-up-to-date"] == "true"
    offset = answer.headers[NEXT]
    answer, messages = await get(hub, f"topic=orders&offset={offset}")
    assert (messages, answer.headers[NEXT]) == ([], offset)
    again, _ = await get(hub, "topic=orders&offset=-1")
    etag = again.headers["etag"]
    known, _ = await get(hub, "topic=orders&offset=-1", **{"if-none-match": etag})
    assert known.status == 304
    assert "private" in again.headers["cache-control"]


async def test_any_place_among_the_messages_goes_on(hub, numbers):
    await numbers(hub, "orders", *range(6))
    _, messages = await get(hub, "topic=orders&offset=-1")
    for at, message in enumerate(messages):
        epoch, _, sequence = message["id"].partition(".")
        offset = from_cursor(Cursor(epoch, int(sequence)))
        _, rest = await get(hub, f"topic=orders&offset={offset}")
        assert data(rest) == list(range(at + 1, 6))


async def test_a_long_poll_waits_for_an_event_of_its_topic(hub, numbers):
    now, _ = await get(hub, "topic=orders&offset=now")
    offset = now.headers[NEXT]
    query = f"topic=orders&offset={offset}&live=long-poll"
    waiting = asyncio.create_task(get(hub, query))
    await numbers(hub, "other", 1)
    await numbers(hub, "orders", 2)
    answer, messages = await waiting
    assert (answer.status, data(messages)) == (200, [2])
    assert answer.headers["stream-cursor"]
    answer, messages = await get(hub, query)
    assert data(messages) == [2], "data that is there is not waited for"


async def test_a_live_read_catches_up_and_goes_on(hub, numbers):
    await numbers(hub, "orders", 1, 2)
    async with await fetch(f"{hub.url}/events?topic=orders&offset=-1&live=sse") as stream:
        messages, place = await control(stream)
        while len(messages) < 2:
            more, place = await control(stream)
            messages += more
        assert data(messages) == [1, 2]
        await numbers(hub, "other", 1)
        await numbers(hub, "orders", 3)
        messages, place = await control(stream)
        assert data(messages) == [3]
    offset = place["streamNextOffset"]
    async with await fetch(f"{hub.url}/events?topic=orders&offset={offset}&live=sse") as stream:
        messages, first = await control(stream)
        assert (messages, first["upToDate"]) == ([], True)
        await numbers(hub, "orders", 4)
        messages, _ = await control(stream)
        assert data(messages) == [4]


async def test_offsets_that_are_none_and_writes_are_refused(hub, numbers):
    await numbers(hub, "orders", 1)
    for query, status in (
        ("offset=x", 400),
        ("offset=-1&live=x", 400),
        ("offset=", 400),
        ("offset=0000000000000001_other", 410),
    ):
        answer, _ = await get(hub, f"topic=orders&{query}")
        assert answer.status == status, query
    head, _ = await get(hub, "topic=orders&offset=now")
    beyond = "9" * 16 + head.headers[NEXT][16:]
    assert (await get(hub, f"topic=orders&offset={beyond}"))[0].status == 410
    for method in ("PUT", "DELETE"):
        url = f"{hub.url}/events?topic=orders"
        async with await fetch(url, method=method) as refused:
            assert refused.status == 405


async def test_events_that_went_are_gone(hub_of, numbers):
    async with hub_of(journal_bytes=20_000) as hub:
        await numbers(hub, "orders", 0)
        await numbers(hub, "quiet", 0)
        _, [message] = await get(hub, "topic=quiet&offset=-1")
        epoch, _, sequence = message["id"].partition(".")
        offset = from_cursor(Cursor(epoch, int(sequence)))
        for n in range(10):
            await numbers(hub, "orders", *range(n, n + 20))
        assert (await get(hub, f"topic=orders&offset={offset}"))[0].status == 410
        answer, messages = await get(hub, f"topic=quiet&offset={offset}")
        assert (answer.status, messages) == (200, [])


async def test_an_offset_needs_the_rights_of_a_subscriber(hub_of, key, bearer, publish):
    async with hub_of(auth_key=key) as hub:
        event = {"topic": "orders", "data": 1, "private": True}
        await publish(hub, event, bearer("events:publish"))
        query = "topic=orders&offset=-1"
        assert (await get(hub, query))[0].status == 401
        other = bearer("events:subscribe:other")
        assert (await get(hub, query, **other))[0].status == 403
        mine = bearer("events:subscribe:orders")
        assert data((await get(hub, query, **mine))[1]) == [1]
        assert (await get(hub, "offset=-1", **mine))[1] == [], "private, and not named"
