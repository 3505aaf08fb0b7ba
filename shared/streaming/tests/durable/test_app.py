"""The streams of `hub.produce`, mounted in an app, on each server."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from eddyline import Hub, NamedEvent
from eddyline.testing import Stream, fetch


def app_of(hub: Hub, source: Any) -> Starlette:
    async def answer(request: Request) -> Response:
        return await hub.produce(request, "answers/7", source())

    routes = [Route("/answer", answer), Mount("/streams", hub.durable())]
    return Starlette(routes=routes, lifespan=hub.lifespan)


async def messages(stream: Stream) -> list[Any]:
    value: list[Any] = await stream.json()
    return value


async def test_a_generator_is_read_as_a_durable_stream(serve):
    proceed = asyncio.Event()

    async def words() -> AsyncIterator[Any]:
        yield "one"
        await proceed.wait()
        yield NamedEvent("second", {"n": 2})

    async with serve(app_of(Hub(), words)) as (url, _):
        async with await fetch(f"{url}/streams/answers/7?offset=-1") as missing:
            assert missing.status == 404
        async with await fetch(f"{url}/answer") as first:
            await first.event()
        async with await fetch(f"{url}/streams/answers/7?offset=-1") as page:
            assert page.headers["content-type"] == "application/json"
            assert [each["data"] for each in await messages(page)] == ["one"]
            assert "stream-closed" not in page.headers
        offset = page.headers["stream-next-offset"]
        async with await fetch(f"{url}/streams/answers/7?offset={offset}&live=sse") as live:
            event = await live.event()
            assert event is not None
            assert json.loads(event.data)["streamNextOffset"] == offset
            proceed.set()
            events = await live.events()
            assert live.clean
        told = [each for one in events if one.event == "data" for each in json.loads(one.data)]
        assert [(each.get("event"), each["data"]) for each in told] == [
            ("second", {"n": 2}),
            ("eddyline.end", {"reason": "complete"}),
        ]
        assert json.loads(events[-1].data)["streamClosed"]


async def test_it_is_read_only(serve):
    async def nothing() -> AsyncIterator[Any]:
        return
        yield

    async with serve(app_of(Hub(), nothing)) as (url, _):
        for method in ("PUT", "POST", "DELETE", "PATCH"):
            async with await fetch(f"{url}/streams/answers/7", method=method) as refused:
                assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")
        async with await fetch(f"{url}/streams/") as nameless:
            assert nameless.status == 400
