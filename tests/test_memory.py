"""Memory stays constant: bounds from the design, asserted on a server process of its own."""

import asyncio
import os
import re
import secrets
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.request import urlopen

import orjson
import pytest
from socket_memory import socket_memory

from eddyline.journal.base import NewEntry
from eddyline.redis.journal import RedisJournal
from eddyline.testing import (
    Stream,
    eventually,
    fetch,
    free_port,
    request_bytes,
    wait_until,
)

pytestmark = pytest.mark.slow

MiB = 1024 * 1024


class Server:
    """One service in one process."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def resident(self) -> int:
        """Bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        match = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert match is not None
        return int(match[1]) * 1024


@contextmanager
def serving(app: str, **environment: str) -> Iterator[Server]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "eddyline", "serve", app, "--port", str(port)],
        env=os.environ
        | {"EDDYLINE_LOG_LEVEL": "error", "EDDYLINE_DRAIN_WINDOW": "0"}
        | environment,
    )
    try:
        server = Server(process, port)
        wait_until(lambda: answers(server, "/livez") or process.poll() is not None, 60)
        yield server
    finally:
        process.terminate()
        assert process.wait(20) == 0


async def drink(stream: Stream, sip: int, pause: float, taken: list[int]) -> None:
    while data := await stream.reader.read(sip):
        taken.append(len(data))
        await asyncio.sleep(pause)  # sleep: the pace of a slow client


async def test_a_gibibyte_to_20_slow_clients_costs_less_than_8_mib(tmp_path: Path) -> None:
    with (tmp_path / "large.bin").open("wb") as file:
        file.truncate(1024 * MiB)
    with serving("eddyline_downloads.app:app", DOWNLOADS_STORE=tmp_path.as_uri()) as server:
        async with await fetch(server.url + "/download/large.bin", method="HEAD"):
            before = server.resident()
        streams = [
            await fetch(server.url + "/download/large.bin", receive_buffer=65536, limit=65536)
            for _ in range(20)
        ]
        taken: list[int] = []
        readers = [asyncio.create_task(drink(s, 65536, 0.005, taken)) for s in streams]
        grown = [0]

        def have_taken_much() -> bool:
            grown.append(server.resident() - before)
            return sum(taken) > 256 * MiB

        await eventually(have_taken_much, 60)
        for reader in readers:
            assert not reader.done()
            reader.cancel()
        for stream in streams:
            await stream.close()
        assert max(grown) < 8 * MiB


async def test_an_idle_event_stream_costs_less_than_3_5_kb() -> None:
    count = 4000
    with serving("eddyline_events.app:app", EDDYLINE_LIMIT_STREAMS="0") as server:
        warm = [await fetch(server.url + "/events?topic=idle") for _ in range(100)]
        before = server.resident()
        streams = [await fetch(server.url + "/events?topic=idle") for _ in range(count)]
        assert (server.resident() - before) / count < 3500
        for stream in [*warm, *streams]:
            stream.reset()


async def test_a_stalled_reader_costs_less_than_128_kib_and_loses_nothing() -> None:
    count, events, size = 200, 2048, 2000
    with serving("eddyline_events.app:app") as server:
        warm = await fetch(server.url + "/events?topic=warm")
        streams = [
            await fetch(server.url + "/events?topic=t", receive_buffer=4096, limit=1024)
            for _ in range(count)
        ]
        publisher = await asyncio.open_connection("127.0.0.1", server.port)
        for _ in range(500):
            await publish(publisher, "y" * size, topic="warm")
        before, kernel_before = server.resident(), socket_memory(server.port)
        ids = [await publish(publisher, f"{n}:{'x' * size}") for n in range(events)]
        # The journal holds the four MiB once, for all; the rest is the cost of readers.
        journal = events * (size + 600)
        process = server.resident() - before - journal
        kernel = socket_memory(server.port) - kernel_before
        assert (process + kernel) / count < 128 * 1024
        for stream in streams[::10]:
            stream.reader._limit = 2**20  # type: ignore[attr-defined]
            assert [e.id for e in await stream.events(events)] == ids
        for stream in [warm, *streams]:
            stream.reset()
        publisher[1].close()


async def publish(
    publisher: tuple[asyncio.StreamReader, asyncio.StreamWriter], text: str, topic: str = "t"
) -> str:
    """Its id."""
    reader, writer = publisher
    body = orjson.dumps({"topic": topic, "data": text})
    writer.write(request_bytes("POST", "/events", {}, body))
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 201 " in head
    length = re.search(rb"content-length: (\d+)", head)
    assert length is not None
    answer = await reader.readexactly(int(length[1]))
    return answer.decode().split('"')[3]


@pytest.mark.parametrize("goodbye", ["reset", "close"])
async def test_a_storm_of_leaving_clients_leaves_no_memory(goodbye: str) -> None:
    with serving("eddyline_events.app:app", EDDYLINE_LIMIT_STREAMS="0") as server:

        async def storm() -> None:
            streams = [await fetch(server.url + "/events") for _ in range(1000)]
            for stream in streams:
                if goodbye == "reset":
                    stream.reset()
                else:
                    await stream.close()
            await eventually(lambda: open_streams(server) == 0)

        await storm()
        await storm()
        before = server.resident()
        for _ in range(4):
            await storm()
        assert server.resident() - before < 4 * MiB


def open_streams(server: Server) -> int:
    with urlopen(server.url + "/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return int(
        sum(
            float(line.split()[-1])
            for line in text.splitlines()
            if line.startswith("eddyline_streams_open{")
        )
    )


async def test_a_replay_of_40_000_events_to_a_slow_reader_costs_less_than_8_mib(
    redis_url: str,
) -> None:
    events, hub = 40_000, secrets.token_hex(8)
    async with RedisJournal(redis_url, hub) as journal:
        for first in range(0, events, 500):
            numbers = range(first, first + 500)
            await journal.append([NewEntry("t", f"{n}:{'x' * 100}") for n in numbers])
    with serving("eddyline_events.app:app", EVENTS_REDIS_URL=redis_url, EVENTS_HUB=hub) as server:
        await eventually(lambda: answers(server, "/readyz"))
        # Once at full speed, so that first reads are not counted.
        url = server.url + "/events?topic=t&after=earliest"
        async with await fetch(url) as warm:
            assert len(await warm.events(events)) == events
        before = grown = server.resident()
        slow = await fetch(url, receive_buffer=4096, limit=4096)
        for number in range(events):
            event = await slow.event()
            assert event is not None
            assert event.data.startswith(f"{number}:")
            if number % 500 == 0:
                await asyncio.sleep(0.02)  # sleep: the pace of a slow client
                grown = max(grown, server.resident())
        slow.reset()
        assert grown - before < 8 * MiB


async def test_gauges_return_to_0_after_2_000_clients_are_reset_at_once() -> None:
    with serving("eddyline_events.app:app", EDDYLINE_LIMIT_STREAMS="0") as server:
        streams = [await fetch(f"{server.url}/events?topic=t{n % 50}") for n in range(2000)]
        assert open_streams(server) == 2000
        for stream in streams:
            stream.reset()
        await eventually(lambda: open_streams(server) == 0)
        async with await fetch(server.url + "/metrics") as answer:
            text = (await answer.body()).decode()
        left = {
            k: float(v) for k, v in re.findall(r"^(eddyline_\w+(?:\{.*\})?) (\S+)$", text, re.M)
        }
        assert left['eddyline_streams_started_total{kind="broadcast",service="events"}'] == 2000
        for name in ("topics", "audiences", "subscriptions"):
            for key, value in left.items():
                assert not key.startswith(f"eddyline_{name}") or value == 0, key


async def test_those_whom_a_drain_ends_come_back_spread_over_its_window() -> None:
    # So few in so long a time that a busy machine, too, reads each when it comes.
    count, window = 1000, 4.0
    variables = {"EDDYLINE_DRAIN_WINDOW": str(window), "EDDYLINE_LIMIT_STREAMS": "0"}
    ends: list[float] = []

    async def read_to_the_end(stream: Stream) -> None:
        while data := await stream.read():
            list(stream.parser.feed(data))
        ends.append(time.monotonic())
        assert stream.clean

    with serving("eddyline_events.app:app", **variables) as server:
        streams = [await fetch(server.url + "/events?topic=t") for _ in range(count)]
        reading = [asyncio.create_task(read_to_the_end(stream)) for stream in streams]
        server.process.terminate()
        await asyncio.gather(*reading)
        # In no tenth of the window more than three times its share.
        first = min(ends)
        tenths = Counter(int((end - first) / window * 10) for end in ends)
        assert max(tenths.values()) < 3 * count / 10
        # Each is told a time of its own to wait, too.
        assert len({stream.parser.retry for stream in streams}) > count / 4
        for stream in streams:
            await stream.close()
        assert await asyncio.to_thread(server.process.wait, 20) == 0


def answers(server: Server, path: str) -> bool:
    with suppress(OSError), urlopen(server.url + path, timeout=5) as answer:
        return bool(answer.status == 200)
    return False
