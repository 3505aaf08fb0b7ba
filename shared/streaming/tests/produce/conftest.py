"""An app whose generators the test itself makes, on a plain uvicorn with both kinds of
connections.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from eddyline.connection.refusal import refusal
from eddyline.errors import StreamingError
from eddyline.policy import ProducePolicy, StreamPolicy
from eddyline.produce.producer import Producer
from eddyline.service.drain import Drain
from eddyline.store.memory import MemoryStore
from eddyline.telemetry.base import NoStreamMeter

Make = Callable[[], Any]


class Bench:
    """`GET /KEY` runs the generator that the test has put under the key; any number of times."""

    def __init__(self, kept: ProducePolicy, policy: StreamPolicy, store: MemoryStore) -> None:
        self.store = store
        self.drain = Drain(window=0.3)
        meter = NoStreamMeter("test", "broadcast")
        self.producer = Producer(self.store, policy, self.drain, meter, kept)
        #: By key: makes the generator; absent, a client can only join.
        self.makes: dict[str, Make] = {}
        self.url = ""
        self.server: uvicorn.Server
        route = Route("/{key}", self._get, methods=["GET", "HEAD", "POST"])
        self.app = Starlette(routes=[route], lifespan=lambda _: self.producer.run())

    async def _get(self, request: Request) -> Response:
        key = request.path_params["key"]
        make = self.makes.get(key)
        try:
            return await self.producer.response(request, key, make() if make else None)
        except StreamingError as error:
            return refusal(request, error)


@pytest.fixture
def bench_of(serve):
    @asynccontextmanager
    async def start(
        kept: ProducePolicy | None = None,
        policy: StreamPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
        store: type[MemoryStore] = MemoryStore,
    ) -> AsyncIterator[Bench]:
        kept = kept or ProducePolicy()
        bench = Bench(kept, policy or StreamPolicy(), store(kept.total_bytes, clock))
        async with serve(bench.app) as (bench.url, bench.server):
            yield bench
        assert (bench.producer.running, bench.drain.open) == (0, 0)

    return start


class Script:
    """A generator that goes on when the test says so."""

    def __init__(self, *values: Any, end: BaseException | None = None) -> None:
        self.values = values
        self.end = end
        self.runs = 0
        self.closed = 0
        self._steps = asyncio.Semaphore(0)

    def go(self, steps: int = 1_000_000) -> None:
        for _ in range(min(steps, len(self.values) + 1)):
            self._steps.release()

    async def __call__(self) -> AsyncIterator[Any]:
        self.runs += 1
        try:
            for value in self.values:
                await self._steps.acquire()
                yield value
            await self._steps.acquire()
            if self.end is not None:
                raise self.end
        finally:
            self.closed += 1
