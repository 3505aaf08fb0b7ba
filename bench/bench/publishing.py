"""Measures the cost of publishing: single events, and batches of them, to nobody."""

import re
import socket
from dataclasses import dataclass
from pathlib import Path

from bench.deliveries import EVENT_BYTES
from bench.servers import EventServer, serve
from bench.tools import BenchError, Load, event_data

CONNECTIONS = 32  # each publishes one event after the other
BATCH_CONNECTIONS = 4
BATCH_EVENTS = 512


@dataclass(frozen=True)
class Publish:
    """Events published as fast as the server answers."""

    server: str
    kind: str  # single, or the format of a batch
    connections: int
    events: int  # in each request
    per_second: float  # events
    cpu_us: float  # the server's, per event
    redis_cpu_us: float
    client_cpu: float  # share of the core that the client has, or shares with Redis

    @property
    def per_core(self) -> float:
        """Events a second for which the server's core is enough; Redis is not counted."""
        return 1e6 / self.cpu_us


def publish(program: Path, server: EventServer, events: int, seconds: float) -> Publish:
    """`events` in a request: with 1, the request of a single event."""
    data = event_data(EVENT_BYTES)
    if events == 1:
        request, kind, connections = server.publish(data), "single", CONNECTIONS
    elif server.batch is not None:
        request, kind = server.batch(data, events), server.batch_kind
        connections = BATCH_CONNECTIONS
    else:
        raise BenchError(f"{server.name} takes no batch")
    with serve(server) as running:
        port = running.port + server.publish_port
        _prove(port, request, events)
        _run(program, port, request, connections, seconds / 4)
        cpu, redis = running.cpu(), running.redis_cpu()
        result = _run(program, port, request, connections, seconds)
        cpu, redis = running.cpu() - cpu, running.redis_cpu() - redis
    published = result["requests"] * events
    if not published:
        raise BenchError(f"{server.name} took no event: {result['failure']!r}")
    return Publish(
        server=server.name,
        kind=kind,
        connections=connections,
        events=events,
        per_second=published / result["seconds"],
        cpu_us=cpu * 1e6 / published,
        redis_cpu_us=redis * 1e6 / published,
        client_cpu=result["client_cpu"] / result["seconds"],
    )


def _run(
    program: Path, port: int, request: str, connections: int, seconds: float
) -> dict[str, float]:
    options = ("--connections", str(connections), "--seconds", str(seconds))
    with Load(program, "requests", port, "--subscribe", request, *options) as load:
        result = load.report(seconds + 30)
    if result["failed"] or result["closed"]:
        raise BenchError(f"a publish was refused: {result['failure']!r}")
    return result


def _prove(port: int, request: str, events: int) -> None:
    """One answer is looked at: a batch is answered by 200 even where its events were refused."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(request.encode())
        connection.settimeout(2)
        answer = b""
        try:
            while got := connection.recv(1 << 16):
                answer += got
                if _whole(answer):
                    break
        except TimeoutError:
            pass
    refused = re.search(rb'"error"[^}]*', answer)
    if not re.match(rb"HTTP/1.1 2", answer) or refused:
        raise BenchError(f"a batch of {events} events was refused: {answer[:300]!r}")


def _whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    return bool(end) and (len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n"))
