"""A rival: the way of FastAPI's tutorials, one queue and one generator for each subscriber."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

app = FastAPI()
queues: set[asyncio.Queue[str]] = set()


class Event(BaseModel):
    topic: str
    data: str


async def listen() -> AsyncIterator[str]:
    queue: asyncio.Queue[str] = asyncio.Queue()
    queues.add(queue)
    try:
        while True:
            yield f"data: {await queue.get()}\n\n"
    finally:
        queues.discard(queue)


@app.get("/events")
async def subscribe() -> StreamingResponse:
    return StreamingResponse(listen(), media_type="text/event-stream")


@app.post("/events", status_code=201)
async def publish(event: Event) -> None:
    for queue in queues:
        queue.put_nowait(event.data)
