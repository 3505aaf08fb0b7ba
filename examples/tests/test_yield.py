"""The same generator, served in three ways, and the same client, cut at random bytes of each."""

import asyncio
import json
import random

import pytest

from eddyline.testing import FaultProxy, Stream, fetch
from eddyline.wire.sse import Event, Parser

from .conftest import Example

OTHERS = ("yield_sse_starlette", "yield_fastapi")


class Client:
    """An EventSource: comes back with the last id that it has seen in full, until the end."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.events: list[Event] = []
        self.connections = 0
        self._last = ""

    @property
    def values(self) -> list[int]:
        return [int(event.data) for event in self.events if event.event == "message"]

    @property
    def ended(self) -> bool:
        return any(event.event in ("end", "eddyline.end") for event in self.events)

    async def connect(self) -> None:
        """Reads until the body ends, wherever that is."""
        self.connections += 1
        parser = Parser(self._last)
        try:
            headers = {"Last-Event-ID": self._last} if self._last else {}
            stream = await fetch(self.url, headers=headers)
            assert stream.status == 200
            async for data in stream.chunks():
                self.events += parser.feed(data)
                self._last = parser.last_event_id
        except (OSError, asyncio.IncompleteReadError):
            pass  # cut before the body


async def through_cuts(example: Example, cuts: int, seed: int) -> tuple[Client, list[list[int]]]:
    """A client that was cut at random bytes, and the values of each run of the generator."""
    chosen = random.Random(seed)
    async with FaultProxy(example.port) as proxy:
        client = Client(f"{proxy.url}/answers/a")
        for _ in range(cuts):
            # The head is about 200 bytes, a body 1.5 to 3 kB.
            proxy.cut_after = chosen.randrange(250, 900)
            await client.connect()
        proxy.cut_after = None
        while not client.ended:
            await client.connect()
        return client, await runs(example)


async def runs(example: Example) -> list[list[int]]:
    answer: list[list[int]] = await (await fetch(f"{example.url}/runs")).json()
    return answer


@pytest.mark.parametrize("seed", range(2))
async def test_hub_produce_keeps_everything_of_one_run(run, seed):
    async with run("resumable_yield") as example:
        client, [values] = await through_cuts(example, 4, seed)
        assert client.connections > 4
        assert client.values == values
        assert len(values) == 50


@pytest.mark.parametrize("other", OTHERS)
async def test_others_run_the_generator_again_and_mix_what_is_left_of_the_runs(run, other):
    async with run(other) as example:
        client, made = await through_cuts(example, 4, 0)
        assert len(made) > 1
        assert client.values not in made
        # Each run but the last was cancelled with its connection: nobody has the rest of it.
        assert [len(values) == 50 for values in made] == [False] * (len(made) - 1) + [True]


async def test_two_clients_of_hub_produce_share_a_run_and_others_do_not(run):
    shared = []
    for name in ("resumable_yield", *OTHERS):
        async with run(name) as example:
            clients = [Client(f"{example.url}/answers/a") for _ in range(2)]
            await asyncio.gather(*(client.connect() for client in clients))
            shared.append((clients[0].values == clients[1].values, len(await runs(example))))
    assert shared == [(True, 1), (False, 2), (False, 2)]


async def test_cancelling_is_told_to_the_client(run):
    async with run("resumable_yield") as example:
        stream = await fetch(f"{example.url}/answers/a")
        await stream.event()
        cancelled = await fetch(f"{example.url}/answers/a", method="DELETE")
        assert await cancelled.json() is True
        last = (await stream.events())[-1]
        assert (last.event, json.loads(last.data)["reason"]) == ("eddyline.error", "cancelled")
        assert len((await runs(example))[0]) < 50


async def test_a_server_that_stops_ends_the_stream_cleanly(run):
    async with run("resumable_yield") as example:
        stream: Stream = await fetch(f"{example.url}/answers/a")
        await stream.event()
        stopping = asyncio.create_task(example.stop())
        await stream.events()
        assert stream.clean
        await stopping
