import asyncio
import json

from eddyline.testing import fetch


async def test_an_order_reaches_subscribers_and_those_who_come_back(run):
    async with run("fastapi_app") as example:
        stream = await fetch(f"{example.url}/events")
        await stream.read()
        published = await fetch(f"{example.url}/orders/7", method="POST")
        event = await stream.event()
        assert event is not None
        assert (json.loads(event.data), event.id) == ({"id": 7}, await published.json())
        stream.reset()
        await fetch(f"{example.url}/orders/8", method="POST")
        back = await fetch(f"{example.url}/events", headers={"Last-Event-ID": event.id})
        missed = await back.event()
        assert missed is not None
        assert json.loads(missed.data) == {"id": 8}


async def test_a_server_that_stops_ends_streams_cleanly(run):
    async with run("fastapi_app") as example:
        stream = await fetch(f"{example.url}/events")
        await stream.read()
        stopping = asyncio.create_task(example.stop())
        assert await stream.events() == []
        assert stream.clean
        assert stream.parser.retry is not None
        await stopping
