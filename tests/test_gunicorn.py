"""`make serve` with two workers: a worker ends its streams cleanly, however it ends itself."""

import asyncio
import json
import os
import re
import signal
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from eddyline.testing import Stream, eventually, fetch

STREAMS = 12
WORKERS = 2

VARIABLES = {"EDDYLINE_DRAIN_WINDOW": "0.5", "EDDYLINE_LOG_LEVEL": "info"}

Get = Callable[..., Awaitable[Stream]]


@pytest.fixture
def serve(launch):  # type: ignore[no-untyped-def]
    def start(**variables: str):  # type: ignore[no-untyped-def]
        arguments = ("eddyline_standalone.serve", "logs", "--workers", str(WORKERS))
        return launch(*arguments, **(VARIABLES | variables))

    return start


async def open_streams(get: Get, url: str, count: int = STREAMS) -> list[Stream]:
    streams = [await get(f"{url}/logs/app.log") for _ in range(count)]
    for stream in streams:
        assert stream.status == 200
        assert await stream.read()
    return streams


async def scrape(url: str) -> dict[str, float]:
    """Each sample's value, by its name and labels."""
    async with asyncio.timeout(20):
        while (text := await exposition(url)) is None:
            pass
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines}


async def exposition(url: str) -> str | None:
    """None when the worker that was asked ended under it."""
    try:
        answer = await fetch(f"{url}/metrics", headers={"Connection": "close"})
    except (ConnectionError, EOFError):
        return None
    text = (await answer.body()).decode()
    await answer.close()
    assert answer.status == 200, text
    return text if answer.clean else None


async def metric(url: str, name: str) -> float:
    return sum(v for sample, v in (await scrape(url)).items() if sample.startswith(f"{name}{{"))


async def until_open(url: str, count: int) -> None:
    async def open() -> bool:
        return await metric(url, "eddyline_streams_open") == count

    await eventually(open)


async def all_end_cleanly(streams: list[Stream]) -> None:
    for stream in streams:
        await stream.events()
        assert stream.clean
        assert stream.parser.retry is not None
        assert stream.parser.retry >= 500


def workers_of(master: int) -> set[int]:
    return {int(p) for p in Path(f"/proc/{master}/task/{master}/children").read_text().split()}


async def kill_a_worker(master: int) -> None:
    victim = min(workers_of(master))
    os.kill(victim, signal.SIGKILL)
    await eventually(lambda: victim not in workers_of(master))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_streams_cleanly(serve, get, number: int) -> None:  # type: ignore[no-untyped-def]
    with serve() as served:
        streams = await open_streams(get, served.url)
        assert await metric(served.url, "eddyline_streams_open") == STREAMS
        served.process.send_signal(number)
        await all_end_cleanly(streams)
        assert await asyncio.to_thread(served.process.wait, 10) == 0
        assert "Traceback" not in served.output()


@pytest.mark.parametrize("workers", [["--workers", "1"], []], ids=["gunicorn", "alone"])
async def test_a_proxy_in_front_is_believed_and_closes_first(launch, get, workers) -> None:  # type: ignore[no-untyped-def]
    settings = {"FORWARDED_ALLOW_IPS": "127.0.0.0/8", "EDDYLINE_KEEP_ALIVE": "1"}
    with launch("eddyline_standalone.serve", "logs", *workers, **VARIABLES, **settings) as served:
        headers = {"X-Forwarded-For": "203.0.113.9, 198.51.100.7, 127.0.0.2"}
        answer = await get(f"{served.url}/logs", headers=headers)
        assert await answer.body()
        async with asyncio.timeout(20):
            assert await answer.reader.read() == b""
    lines = [json.loads(line) for line in served.output().splitlines() if line.startswith("{")]
    assert [line["client"] for line in lines if line.get("path") == "/logs"] == ["198.51.100.7"]


async def test_hup_replaces_the_workers(serve, get) -> None:  # type: ignore[no-untyped-def]
    with serve() as served:
        before = workers_of(served.pid)
        streams = await open_streams(get, served.url)
        served.process.send_signal(signal.SIGHUP)
        await all_end_cleanly(streams)
        await eventually(lambda: not before & workers_of(served.pid))
        await until_open(served.url, 0)
        again = await open_streams(get, served.url, 2)
        await until_open(served.url, 2)
        for stream in again:
            stream.reset()
        await until_open(served.url, 0)
        assert served.end() == 0
        assert "Traceback" not in served.output()


async def test_max_requests_replaces_a_worker_without_cutting_its_streams(serve, get) -> None:  # type: ignore[no-untyped-def]
    with serve(EDDYLINE_MAX_REQUESTS="20") as served:
        before = workers_of(served.pid)
        streams = await open_streams(get, served.url, 6)
        async with asyncio.timeout(30):
            while before & workers_of(served.pid):
                await metric(served.url, "eddyline_streams_open")
        await all_end_cleanly(streams)
        assert served.end() == 0
        assert "Traceback" not in served.output()


async def test_metrics_are_right_over_both_workers(serve, get) -> None:  # type: ignore[no-untyped-def]
    with serve() as served:
        streams = await open_streams(get, served.url, 3 * STREAMS)
        await until_open(served.url, 3 * STREAMS)
        assert await metric(served.url, "eddyline_streams_started_total") == 3 * STREAMS
        for stream in streams[:STREAMS]:
            stream.reset()
        await until_open(served.url, 2 * STREAMS)
        await kill_a_worker(served.pid)
        # Its clients tell how many streams it had: these are not counted any more.
        cut = [stream for stream in streams[STREAMS:] if await was_cut(stream)]
        await until_open(served.url, 2 * STREAMS - len(cut))
        for stream in streams:
            stream.reset()
        await until_open(served.url, 0)
        assert served.end() == 0


@pytest.mark.slow
async def test_what_dead_workers_counted_stays_in_a_bounded_number_of_files(  # type: ignore[no-untyped-def]
    serve, tmp_path: Path
) -> None:
    variables = {"EDDYLINE_MAX_REQUESTS": "40", "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    with serve(**variables) as served:
        lives = workers_of(served.pid)
        scrapes = asyncio.create_task(until_less_was_counted(served.url))
        requests, killed = 0, False
        while requests < 300 or len(lives) < 6:
            requests += await is_counted(served.url)
            lives |= workers_of(served.pid)
            if requests >= 100 and not killed:
                killed = True
                await kill_a_worker(served.pid)
        assert not scrapes.done(), scrapes.result()
        scrapes.cancel()
        assert (await scrape(served.url))['eddyline_problems_total{status="404"}'] == requests
        # A worker that leaves for its requests is replaced when it is gone.
        assert slots_of(tmp_path) == {f"{served.pid}-{slot}" for slot in range(WORKERS)}
        assert served.end() == 0
        assert "gauges of a dead worker" not in served.output()
        assert "Traceback" not in served.output()


async def test_two_masters_at_once_count_apart_and_together(  # type: ignore[no-untyped-def]
    serve, tmp_path: Path
) -> None:
    """`USR2` starts a second master beside the first one: a new version of the service."""
    counted = 'eddyline_problems_total{status="404"}'
    with serve(PROMETHEUS_MULTIPROC_DIR=str(tmp_path)) as served:
        requests = sum([await is_counted(served.url) for _ in range(20)])
        served.process.send_signal(signal.SIGUSR2)
        await eventually(lambda: len(slots_of(tmp_path)) == 2 * WORKERS, 30)
        (successor,) = {int(slot.split("-")[0]) for slot in slots_of(tmp_path)} - {served.pid}
        try:
            requests += sum([await is_counted(served.url) for _ in range(20)])
            assert (await scrape(served.url))[counted] == requests
            assert served.end() == 0
            requests += sum([await is_counted(served.url) for _ in range(20)])
            assert (await scrape(served.url))[counted] == requests
            live = {file.stem.split("_")[-1] for file in tmp_path.glob("gauge_live*.db")}
            assert live == {f"{successor}-{slot}" for slot in range(WORKERS)}
        finally:
            os.kill(successor, signal.SIGTERM)
        await eventually(lambda: not Path(f"/proc/{successor}/exe").exists(), 30)


def slots_of(folder: Path) -> set[str]:
    return {file.stem.split("_")[-1] for file in folder.glob("*.db")}


async def is_counted(url: str) -> bool:
    """Asks for a path that is not there."""
    try:
        answer = await fetch(f"{url}/nowhere", headers={"Connection": "close"})
    except (ConnectionError, EOFError):
        # It was accepted as its worker closed the listening socket: asyncio drops it, unread.
        return False
    await answer.close()
    assert answer.status == 404
    return True


async def until_less_was_counted(url: str) -> dict[str, tuple[float, float | None]]:
    """Scrapes without a pause; returns the counters that sank or vanished; they may only grow."""
    before: dict[str, float] = {}
    while True:
        now = await scrape(url)
        if less := {k: (v, now.get(k)) for k, v in before.items() if now.get(k, -1.0) < v}:
            return less
        before = {k: v for k, v in now.items() if re.match(r"\w+_(total|bucket|count|sum)\b", k)}


async def was_cut(stream: Stream) -> bool:
    """Whether its server died; an open one has a line a second, which says when it was written."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    while (event := await stream.event(20)) is not None:
        if '"line":"' in event.data and json.loads(event.data)["line"][: len(now)] > now:
            return False
    return stream.clean is False


async def test_workers_end_with_a_master_that_is_killed(serve, get) -> None:  # type: ignore[no-untyped-def]
    with serve() as served:
        streams = await open_streams(get, served.url, 4)
        workers = workers_of(served.pid)
        served.process.kill()
        await all_end_cleanly(streams)
        await eventually(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in workers))


async def test_a_worker_refuses_heads_beyond_the_limits_too(serve):  # type: ignore[no-untyped-def]
    with serve(EDDYLINE_HEAD_LINES="20") as served:
        port = int(served.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 21 + b"\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 431 ")
        writer.close()
