"""Rivals at downloads: the lesson's kinds of response, sending files of the folder BENCH_FILES."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse, Response, StreamingResponse

PIECE = 8192

app = FastAPI()
files = Path(os.environ["BENCH_FILES"])


def pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


async def events(path: Path) -> AsyncIterator[bytes]:
    for piece in pieces(path):
        yield b"data: " + piece + b"\n\n"


@app.get("/memory/{name}")
async def in_memory(name: str) -> Response:
    return Response((files / name).read_bytes(), media_type="application/json")


@app.get("/file/{name}")
async def file_response(name: str) -> FileResponse:
    return FileResponse(files / name)


@app.get("/generator/{name}")
async def generator(name: str) -> StreamingResponse:
    return StreamingResponse(pieces(files / name), media_type="application/octet-stream")


@app.get("/sse/{name}")
async def server_sent_events(name: str) -> StreamingResponse:
    return StreamingResponse(events(files / name), media_type="text/event-stream")
