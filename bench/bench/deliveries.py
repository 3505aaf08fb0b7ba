"""Measures event servers: fan-out, idle connections, and readers that stall."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import procfs
from bench.servers import EventServer, Running, serve
from bench.tools import BenchError, Load, event_data

CONNECT_SECONDS = 65.0  # load.c gives up after 60
EVENT_BYTES = 120  # data; about 150 with the framing of server-sent events


@dataclass(frozen=True)
class Delivery:
    """One run of N subscribers at a rate of events, and the cost of the connections before it."""

    server: str
    connections: int
    rate: float  # events per second
    expected: int
    delivered: int
    cpu_us: float  # the server's, per delivery
    p50_ms: float
    p99_ms: float
    connect_seconds: float
    connection_bytes: float  # growth of the process for each idle connection
    seconds: float  # from the first publish to the last delivery
    peak_bytes: int
    publish_errors: int
    client_cpu: float  # share of the client's core: near 1, the client was the limit
    redis_cpu_us: float = 0.0  # of the server's Redis, per delivery


@dataclass(frozen=True)
class Stall:
    """The cost of each reader that stopped reading, and whether it then got everything."""

    server: str
    connections: int
    process_bytes: float
    kernel_bytes: float
    complete: int  # subscribers that got every event in the end
    cut_off: int  # subscribers whose connection the server ended
    published: int  # events that the server accepted while nobody read
    events: int
    delivered: int  # to all, in the end


@dataclass(frozen=True)
class Plan:
    """Subscribers, events per second, and for how many seconds."""

    connections: int
    rate: float
    seconds: float
    settle: float = 0.3
    linger: float = 2.0
    event_bytes: int = EVENT_BYTES
    topics: int = 0  # of each connection's own: the places in the server's `subscribe`


def _load(program: Path, server: EventServer, port: int, plan: Plan, *more: str) -> Load:
    return Load(
        program,
        "sse",
        port,
        *("--publish-port", str(port + server.publish_port)),
        *("--subscribe", server.subscribe),
        *("--publish", server.publish(event_data(plan.event_bytes))),
        *("--connections", str(plan.connections)),
        *("--rate", str(plan.rate), "--seconds", str(plan.seconds), "--linger", str(plan.linger)),
        *("--opening", str(server.opening)),
        *("--topics", str(plan.topics)),
        *more,
    )


def _opened(load: Load, plan: Plan) -> dict[str, Any]:
    ready = load.report(CONNECT_SECONDS)
    if ready["ready"] < plan.connections:
        raise BenchError(
            f"{ready['ready']} of {plan.connections} subscribers connected: {ready['failure']!r}"
        )
    return ready


def _warm_up(program: Path, server: EventServer, running: Running, topics: int = 0) -> None:
    """Pays for first uses before memory is measured; finds out a server that cannot deliver."""
    plan = Plan(connections=20, rate=20, seconds=0.5, topics=topics)
    with _load(program, server, running.port, plan) as load:
        _opened(load, plan)
        time.sleep(plan.settle)
        load.go()
        result = load.report(10)
    if result["delivered"] != result["expected"]:
        raise BenchError(
            f"{result['delivered']} of {result['expected']} events delivered"
            f" in the warm-up: {result['failure']!r}"
        )
    time.sleep(plan.settle)


def deliver(program: Path, server: EventServer, plan: Plan) -> Delivery:
    with serve(server) as running:
        _warm_up(program, server, running, plan.topics)
        before = running.memory()
        with _load(program, server, running.port, plan) as load:
            ready = _opened(load, plan)
            time.sleep(plan.settle)
            grown = running.memory() - before
            cpu, redis, start = running.cpu(), running.redis_cpu(), time.monotonic()
            load.go()
            result = load.report(plan.seconds + plan.linger + 20)
            used, took = running.cpu() - cpu, time.monotonic() - start
            redis = running.redis_cpu() - redis
            peak = running.peak_memory()
    return Delivery(
        server=server.name,
        connections=plan.connections,
        rate=plan.rate,
        expected=result["expected"],
        delivered=result["delivered"] - result["duplicates"],
        cpu_us=used * 1e6 / max(1, result["delivered"]),
        p50_ms=result["p50_ms"],
        p99_ms=result["p99_ms"],
        connect_seconds=ready["seconds"],
        connection_bytes=grown / plan.connections,
        seconds=result["seconds"],
        peak_bytes=peak,
        publish_errors=result["publish_errors"],
        client_cpu=result["client_cpu"] / took,
        redis_cpu_us=redis * 1e6 / max(1, result["delivered"]),
    )


def stall(program: Path, server: EventServer, plan: Plan) -> Stall:
    with serve(server) as running:
        _warm_up(program, server, running)
        options = ("--stall", "--receive-buffer", "4096")
        with _load(program, server, running.port, plan, *options) as load:
            _opened(load, plan)
            time.sleep(plan.settle)
            memory, kernel = running.memory(), procfs.tcp_memory()
            load.go()
            stalled = load.report(plan.seconds * 3 + plan.linger + 20)
            time.sleep(plan.settle)
            memory, kernel = running.memory() - memory, procfs.tcp_memory() - kernel
            load.go()
            result = load.report(120)
    return Stall(
        server=server.name,
        connections=plan.connections,
        process_bytes=memory / plan.connections,
        kernel_bytes=kernel / plan.connections,
        complete=result["complete"],
        cut_off=result["closed"] + result["ended"],
        published=stalled["published"],
        events=result["events"],
        delivered=result["delivered"] - result["duplicates"],
    )
