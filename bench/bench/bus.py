"""Measures the cost of an event, to Redis and to the processes of its hub: `python -m bench.bus`.

Most of the processes are connections that subscribe and forget all messages. One is real, has no
streams, and listens beside the one that publishes.
"""

import argparse
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import procfs
from bench.deliveries import EVENT_BYTES
from bench.rivals import OURS_ON_REDIS
from bench.servers import Running, free_port, serve
from bench.tools import Load, build, event_data, own_core

BUS = "eddyline:{events}:bus@0"
BATCH_EVENTS = 512
CROWD = 50  # publishers at once: then Redis writes once to each process for many messages
MESSAGE_BYTES = 240  # of an event of EVENT_BYTES, as the bus carries it

_LISTEN = """
import selectors, socket, sys
ready = selectors.DefaultSelector()
for _ in range(int(sys.argv[2])):
    connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    connection.sendall(f"SUBSCRIBE {sys.argv[3]}\\r\\n".encode())
    ready.register(connection, selectors.EVENT_READ)
print(flush=True)
while True:
    for key, _ in ready.select():
        key.fileobj.recv(1 << 20)
"""


@dataclass(frozen=True)
class Cost:
    """Of each event, in µs of CPU and in bytes that Redis sent; of a process where one was real."""

    how: str
    processes: int
    events: int
    redis: float
    sent: float
    process: float | None = None

    def row(self) -> str:
        own = "-" if self.process is None else f"{self.process:.1f}"
        figures = f"{self.events} | {self.redis:.1f} | {self.sent:.0f} | {own}"
        return f"| {self.how} | {self.processes} | {figures} |"


@contextmanager
def _child(command: Sequence[str], **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        preexec_fn=own_core(server=False),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def listeners(redis: int, count: int, channel: str) -> Iterator[None]:
    command = [sys.executable, "-c", _LISTEN, str(redis), str(count), channel]
    with _child(command) as process:
        assert process.stdout
        process.stdout.readline()
        yield


@contextmanager
def hub_process(redis: int) -> Iterator[int]:
    port, url = free_port(), f"redis://127.0.0.1:{redis}"
    command = OURS_ON_REDIS.command(port, Path())
    with _child(command, **OURS_ON_REDIS.environment, EVENTS_REDIS_URL=url) as process:
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        time.sleep(3)  # its first probes of the bus, and the other costs of a start
        yield process.pid


def sent_bytes(redis: int) -> int:
    with socket.create_connection(("127.0.0.1", redis)) as connection:
        connection.sendall(b"INFO stats\r\n")
        found = re.search(rb"total_net_output_bytes:(\d+)", connection.recv(1 << 16))
    assert found
    return int(found[1])


def publish(program: Path, port: int, rate: float, seconds: float) -> int:
    """How many events were taken: so many a second, or in batches as fast as may be (0)."""
    data, server = event_data(EVENT_BYTES), OURS_ON_REDIS
    if rate:
        options = ("--subscribe", server.subscribe, "--publish", server.publish(data))
        pace = ("--rate", str(rate), "--seconds", str(seconds), "--publish-port", str(port))
        with Load(program, "sse", port, *options, *pace) as load:
            load.report(30)
            load.go()
            return int(load.report(seconds + 30)["accepted"])
    assert server.batch
    options = ("--subscribe", server.batch(data, BATCH_EVENTS), "--connections", "4")
    with Load(program, "requests", port, *options, "--seconds", str(seconds)) as load:
        return int(load.report(seconds + 30)["requests"]) * BATCH_EVENTS


def through_a_process(
    program: Path, running: Running, processes: int, rate: float, seconds: float
) -> Cost:
    assert running.redis
    redis = running.redis_port
    with hub_process(redis) as own, listeners(redis, processes - 2, BUS):
        publish(program, running.port, rate, 0.5)
        cpu = procfs.cpu_seconds([running.redis.pid])
        process, sent = procfs.cpu_seconds([own]), sent_bytes(redis)
        events = publish(program, running.port, rate, seconds)
        cpu = procfs.cpu_seconds([running.redis.pid]) - cpu
        process, sent = procfs.cpu_seconds([own]) - process, sent_bytes(redis) - sent
    how = f"{rate:g}/s, each alone" if rate else f"{BATCH_EVENTS} in a request"
    return Cost(how, processes, events, cpu * 1e6 / events, sent / events, process * 1e6 / events)


def by_a_crowd(running: Running, processes: int, messages: int) -> Cost:
    """The bus alone: PUBLISH by many at once, on a channel of its own."""
    assert running.redis
    redis, text = running.redis_port, "x" * MESSAGE_BYTES
    with listeners(redis, processes, "bench"):
        cpu, sent = procfs.cpu_seconds([running.redis.pid]), sent_bytes(redis)
        command = ["redis-benchmark", "-p", str(redis), "-c", str(CROWD), "-n", str(messages)]
        subprocess.run([*command, "PUBLISH", "bench", text], check=True, capture_output=True)
        cpu = procfs.cpu_seconds([running.redis.pid]) - cpu
        sent = sent_bytes(redis) - sent
    how = f"PUBLISH by {CROWD} at once"
    return Cost(how, processes, messages, cpu * 1e6 / messages, sent / messages)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--processes", type=int, nargs="+", default=[2, 50, 200], metavar="N")
    parser.add_argument("--rates", type=float, nargs="+", default=[200, 1000, 0], metavar="N")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--work", type=Path, default=Path(".bench"))
    options = parser.parse_args()
    program = build("load", options.work)
    print("| published | processes | events | Redis, µs | sent, B | a process, µs |")
    print("|---|---|---|---|---|---|")
    for rate in options.rates:
        for processes in options.processes:
            with serve(OURS_ON_REDIS) as running:
                cost = through_a_process(program, running, processes, rate, options.seconds)
            print(cost.row(), flush=True)
    for processes in options.processes:
        with serve(OURS_ON_REDIS) as running:
            print(by_a_crowd(running, processes, 1_000_000 // (processes + 50)).row(), flush=True)


if __name__ == "__main__":
    main()
