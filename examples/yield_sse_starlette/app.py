"""The generator of `resumable_yield`, served by sse-starlette: a cut loses its run."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import FastAPI, Header
from sse_starlette import EventSourceResponse

app = FastAPI()
runs: list[list[int]] = []


async def answer(seen: int) -> AsyncIterator[dict[str, Any]]:
    """A run for each connection. A client that comes back skips the values that it has seen."""
    values: list[int] = []
    runs.append(values)
    for n in range(50):
        await asyncio.sleep(0.01)
        values.append(random.randrange(1_000_000))
        if n > seen:
            yield {"data": values[-1], "id": str(n)}
    yield {"data": "", "event": "end"}


@app.get("/answers/{key}")
async def get_answer(key: str, last_event_id: Annotated[int, Header()] = -1) -> EventSourceResponse:
    return EventSourceResponse(answer(last_event_id))


@app.get("/runs")
async def get_runs() -> list[list[int]]:
    return runs
