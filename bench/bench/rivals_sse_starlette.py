"""A rival: sse-starlette's EventSourceResponse, one queue for each subscriber."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import FastAPI
from pydantic import BaseModel
from sse_starlette import EventSourceResponse

app = FastAPI()
queues: set[asyncio.Queue[str]] = set()


class Event(BaseModel):
    topic: str
    data: str


async def listen() -> AsyncIterator[dict[str, str]]:
    queue: asyncio.Queue[str] = asyncio.Queue()
    queues.add(queue)
    try:
        while True:
            yield {"data": await queue.get()}
    finally:
        queues.discard(queue)


@app.get("/events")
async def subscribe() -> EventSourceResponse:
    return EventSourceResponse(listen())


@app.post("/events", status_code=201)
async def publish(event: Event) -> None:
    for queue in queues:
        queue.put_nowait(event.data)
