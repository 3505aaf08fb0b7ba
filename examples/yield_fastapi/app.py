"""The generator of `resumable_yield`, served by FastAPI alone: a cut loses its run."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import FastAPI, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent

app = FastAPI()
runs: list[list[int]] = []


@app.get("/answers/{key}", response_class=EventSourceResponse)
async def get_answer(
    key: str, last_event_id: Annotated[int, Header()] = -1
) -> AsyncIterator[ServerSentEvent]:
    """A run for each connection. A client that comes back skips the values that it has seen."""
    values: list[int] = []
    runs.append(values)
    for n in range(50):
        await asyncio.sleep(0.01)
        values.append(random.randrange(1_000_000))
        if n > last_event_id:
            yield ServerSentEvent(data=values[-1], id=str(n))
    yield ServerSentEvent(raw_data="", event="end")


@app.get("/runs")
async def get_runs() -> list[list[int]]:
    return runs
