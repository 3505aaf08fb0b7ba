"""Servers of Durable Streams: ours on each store, and the project's own; and catching up."""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path

from bench.rivals import not_found, program_of
from bench.servers import EventServer, ours, output_of, packages, serve
from bench.tools import HERE, BenchError, request

STREAM = "/v1/stream/bench"
TEXT = ("Content-Type: text/plain",)

#: Bytes of one append while a stream is filled, to be caught up with.
APPEND = 1 << 20


@dataclass(frozen=True)
class CatchUp:
    """One client reads a whole stream, by the offset of each answer."""

    server: str
    size: int
    seconds: float
    cpu_seconds: float  # the server's
    answers: int


def _caddy(port: int, folder: Path) -> list[str]:
    text = (HERE / "durable.caddyfile").read_text().replace("@port@", str(port))
    (folder / "Caddyfile").write_text(text.replace("@folder@", str(folder)))
    program = program_of("DURABLE_STREAMS", "durable-streams-server")
    return [program, "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


def _caddy_version() -> str:
    """Its plugin has none of its own."""
    text = output_of(program_of("DURABLE_STREAMS", "durable-streams-server"), "version")
    return f"a plugin of Caddy {text.split()[0]}"


MEMORY = EventServer(
    name="ours, memory",
    command=ours("eddyline_streams.app:app"),
    version=packages("eddyline-streams", "eddyline", "uvicorn"),
    environment={
        "EDDYLINE_AUTH": "off",
        "EDDYLINE_LIMIT_STREAMS": "0",
        "EDDYLINE_LIMIT_STREAMS_PER_ADDRESS": "0",
        "STREAMS_STORE": "memory://?max_bytes=4000000000",
    },
    prepare=request(f"PUT {STREAM}", TEXT),
    subscribe=request(f"GET {STREAM}?offset=now&live=sse"),
    publish=lambda data: request(f"POST {STREAM}", TEXT, data),
)
FILES = replace(
    MEMORY,
    name="ours, files",
    environment={**MEMORY.environment, "STREAMS_STORE": "file://@folder@/streams"},
)
CADDY = EventServer(
    name="durable-streams",
    command=_caddy,
    version=_caddy_version,
    how_to_get="go build ./cmd/caddy in packages/caddy-plugin of durable-streams/durable-streams,"
    " and DURABLE_STREAMS=/path/to/it",
    missing=not_found("DURABLE_STREAMS", "durable-streams-server"),
    prepare=MEMORY.prepare,
    subscribe=MEMORY.subscribe,
    publish=MEMORY.publish,
)


def stream_servers() -> Sequence[EventServer]:
    return (MEMORY, FILES, CADDY)


def catch_up(_program: Path, server: EventServer, size: int) -> CatchUp:
    with serve(server) as running:
        with closing(HTTPConnection("127.0.0.1", running.port, timeout=60)) as client:
            _fill(client, size)
            cpu, start = running.cpu(), time.monotonic()
            read, answers = _read(client)
            took, used = time.monotonic() - start, running.cpu() - cpu
    if read != size:
        raise BenchError(f"{read} of {size} bytes were read")
    return CatchUp(server.name, size, took, used, answers)


def _read(client: HTTPConnection) -> tuple[int, int]:
    """Reads the stream to its tail; returns the bytes, and the number of answers."""
    offset, read, answers = "-1", 0, 0
    while True:
        client.request("GET", f"{STREAM}/large?offset={offset}")
        answer = client.getresponse()
        while piece := answer.read(1 << 20):
            read += len(piece)
        offset, answers = answer.headers["Stream-Next-Offset"], answers + 1
        if answer.headers["Stream-Up-To-Date"]:
            return read, answers


def _fill(client: HTTPConnection, size: int) -> None:
    headers = {"Content-Type": "application/octet-stream"}
    for method, body in [("PUT", b""), *[("POST", b"x" * APPEND)] * (size // APPEND)]:
        client.request(method, f"{STREAM}/large", body, headers)
        answer = client.getresponse()
        answer.read()
        if answer.status // 100 != 2:
            raise BenchError(f"{method} was answered by {answer.status}")
