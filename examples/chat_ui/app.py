"""The back end of a chat page: asks the chat service once, however often the page comes back."""

import os
from collections.abc import AsyncIterator

import httpx
from fastapi import FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles

from eddyline import Hub

CHAT = os.environ.get("CHAT_URL", "http://127.0.0.1:8000")

hub = Hub()
app = FastAPI(lifespan=hub.lifespan)


async def answer(message: str) -> AsyncIterator[str]:
    """The words of the chat service. An answer that is cut short there raises here."""
    async with httpx.AsyncClient(timeout=60) as client:
        async with client.stream("POST", f"{CHAT}/chat", params={"prompt": message}) as response:
            response.raise_for_status()
            async for text in response.aiter_text():
                yield text


@app.get("/answers/{id}")
async def get_answer(request: Request, id: str, message: str | None = None) -> Response:
    """Starts the answer to `message`; without one, joins the answer that was started as `id`."""
    return await hub.produce(request, id, answer(message) if message else None)


@app.delete("/answers/{id}")
async def stop_answer(id: str) -> bool:
    return await hub.cancel(id)


app.mount("/", StaticFiles(directory="dist", html=True))
