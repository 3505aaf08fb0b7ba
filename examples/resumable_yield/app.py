"""A generator that runs once, for any number of clients that come back: see README.md."""

import asyncio
import random
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request, Response

from eddyline import Hub

hub = Hub()
app = FastAPI(lifespan=hub.lifespan)
#: The values of each run, for a look at the work that was done.
runs: list[list[int]] = []


async def answer() -> AsyncIterator[int]:
    """As of a model: it takes its time, it costs money, and no two runs are alike."""
    values: list[int] = []
    runs.append(values)
    for _ in range(50):
        await asyncio.sleep(0.01)
        values.append(random.randrange(1_000_000))
        yield values[-1]


@app.get("/answers/{key}")
async def get_answer(request: Request, key: str) -> Response:
    return await hub.produce(request, key, answer())


@app.delete("/answers/{key}")
async def cancel_answer(key: str) -> bool:
    return await hub.cancel(key)


@app.get("/runs")
async def get_runs() -> list[list[int]]:
    return runs
