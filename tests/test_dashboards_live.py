"""The dashboards on a real Prometheus and a real suite: each number is there, and moves."""

import asyncio
import itertools
import json
import os
import signal
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from eddyline.tasks import background
from eddyline.testing import RedisServer, Stream, eventually, fetch, free_port

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[1] / "observability"
DASHBOARDS = {
    file.stem: json.loads(file.read_text()) for file in (FOLDER / "dashboards").glob("*.json")
}

#: Streams that the suite may have open; subscribers of events that are held.
LIMIT, HELD = 150, 100

#: The window of rates. A busy machine misses some of the scrapes, one of which is due each second.
WINDOW = "12s"

#: How a request may end while the suite is being disturbed.
BROKEN = (OSError, TimeoutError, asyncio.IncompleteReadError, AssertionError)

#: The metrics that stand still while the suite runs.
CONSTANT = {"limit", "least limit", "{{hub}}: maxmemory", "{{job}}: known", "open"}


class Prometheus:
    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def ready(self) -> bool:
        with suppress(OSError):
            with urllib.request.urlopen(self._url + "/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        return False

    def now(self, expression: str) -> float | None:
        """The value of an expression of one line."""
        found = self._ask("query", query=expression)
        assert len(found) <= 1, expression
        return float(found[0]["value"][1]) if found else None

    def lines(self, expression: str, start: float, end: float) -> list[list[float]]:
        found = self._ask("query_range", query=expression, start=start, end=end, step=1)
        return [[float(value) for _, value in line["values"]] for line in found]

    def _ask(self, what: str, **parameters: Any) -> Any:
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self._url}/api/v1/{what}?{query}", timeout=20) as answer:
            return json.load(answer)["data"]["result"]


@contextmanager
def prometheus(program: str, folder: Path, targets: list[dict[str, Any]]) -> Iterator[Prometheus]:
    port = free_port()
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(FOLDER / "alerts.yml")],
        "scrape_configs": targets,
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    command = [program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log
        )
    try:
        yield Prometheus(port)
    finally:
        process.kill()
        process.wait(20)


def target(job: str, port: int, **labels: str) -> dict[str, Any]:
    return {
        "job_name": job,
        "static_configs": [{"targets": [f"127.0.0.1:{port}"], "labels": labels}],
    }


def spelled(expression: str) -> str:
    """As Grafana puts its variables in, with "All" chosen."""
    for variable in ("namespace", "job", "instance"):
        expression = expression.replace(f'"${variable}"', '".*"')
    return expression.replace("$__rate_interval", WINDOW)


async def post(url: str, body: Any, **headers: str) -> int:
    stream = await fetch(url, method="POST", headers=headers, body=json.dumps(body).encode())
    await stream.body()
    await stream.close()
    return stream.status


async def get(url: str, **headers: str) -> Stream:
    stream = await fetch(url, headers=headers)
    await stream.body()
    await stream.close()
    return stream


class Traffic:
    """A little of everything that the suite does."""

    def __init__(self, url: str, log: Path) -> None:
        self.url = url
        self.log = log
        self.held: list[Stream] = []
        #: Of a Durable Stream: there is one at each look of Prometheus.
        self.reader: Stream | None = None

    async def publish(self) -> None:
        for number in itertools.count():
            with self.log.open("a") as log:
                log.write(f"line {number} {'x' * 2000}\n" * 20)
            event = {"topic": "live", "data": f"{number} {'x' * 4000}"}
            with suppress(*BROKEN):
                await post(self.url + "/events", [event] * 10)
                await post(self.url + "/events", event, **{"Idempotency-Key": str(number // 2)})
                await post(self.url + "/events", {"topic": 5})
            await asyncio.sleep(0.1)  # sleep: the pace of a publisher

    async def ask(self) -> None:
        while True:
            with suppress(*BROKEN):
                for path in ("/events?topic=live", "/logs/app.log"):
                    await self.visit(path)
                for path in ("/download/file.pdf", "/records/users?limit=500", "/stream?chunks=2"):
                    await get(self.url + path)
                await get(self.url + "/nowhere")
                assert (await get(self.url + "/", Long="x" * 40_000)).status == 431
                await self.stream()
            await asyncio.sleep(0.05)  # sleep: the pace of a client

    async def stream(self) -> None:
        """Reads a Durable Stream from its beginning, and then as it grows."""
        url, kind = self.url + "/v1/stream/live", {"Content-Type": "text/plain"}
        await (await fetch(url, method="PUT", headers=kind)).body()
        reader = await fetch(url + "?offset=-1&live=sse")
        await (await fetch(url, method="POST", headers=kind, body=b"x" * 4000)).body()
        await reader.events(2)
        self.reader, last = reader, self.reader
        if last is not None:
            last.reset()

    async def talk(self) -> None:
        while True:
            with suppress(*BROKEN):
                await post(self.url + "/chat/stream", {"message": "hello"})

    async def visit(self, path: str) -> None:
        """Comes with an id that nobody gave, and is told so; comes back with one of ours."""
        stream = await fetch(self.url + path, headers={"Last-Event-ID": "of-nobody"})
        while (event := await stream.event(5)) is not None and event.event != "eddyline.reset":
            pass
        stream.reset()
        assert event is not None
        again = await fetch(self.url + path, headers={"Last-Event-ID": event.id})
        await again.events(2)
        again.reset()

    async def linger(self) -> None:
        """Streams of another length than all that follow."""
        for path in ("/download/huge.bin", "/records/users"):
            stream = await fetch(self.url + path, receive_buffer=4096, limit=1024)
            await asyncio.sleep(0.5)  # sleep: the length of a stream
            stream.reset()
        body = json.dumps({"message": "hello"}).encode()
        stream = await fetch(self.url + "/chat/stream", method="POST", body=body)
        await asyncio.sleep(0.5)  # sleep: the length of a stream
        stream.reset()

    async def hold(self) -> None:
        """Streams that stay, of which some are never read."""
        for number in range(HELD):
            slow = {"receive_buffer": 4096, "limit": 1024} if number % 6 == 0 else {}
            self.held.append(await fetch(f"{self.url}/events?topic=t{number}&topic=live", **slow))
        for path in ("/logs/app.log", "/download/huge.bin", "/records/users"):
            self.held.append(await fetch(self.url + path, receive_buffer=4096, limit=1024))


@asynccontextmanager
async def readers_of(streams: list[Stream]) -> AsyncIterator[None]:
    """Those that are quick read; a slow one has a small buffer."""
    quick = [s for s in streams if s.reader._limit > 1024]  # type: ignore[attr-defined]
    tasks = [asyncio.create_task(_read(stream)) for stream in quick]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(stream: Stream) -> None:
    while await stream.read():
        pass


@pytest.mark.timeout(300)
async def test_every_number_is_of_a_metric_and_was_seen_to_move(  # type: ignore[no-untyped-def]
    launch, tool, tmp_path: Path
) -> None:
    program = tool("prometheus")
    log = tmp_path / "app.log"
    log.write_text("first\n")
    (tmp_path / "redis").mkdir()
    (tmp_path / "prometheus").mkdir()
    with RedisServer(tmp_path / "redis", "--maxmemory", "512mb") as redis:
        variables = {
            "EVENTS_REDIS_URL": redis.url,
            "LOGS_SOURCES": f"app.log={log}",
            "EDDYLINE_LIMIT_STREAMS": str(LIMIT),
        }
        workers = launch(
            "eddyline_standalone.serve", "logs", "--workers", "2", EDDYLINE_DRAIN_WINDOW="2"
        )
        with launch("eddyline_standalone", **variables) as suite, workers as several:
            targets = [
                target("suite", suite.port, namespace="eddyline", pod="suite-0"),
                target("logs", several.port),
            ]
            with prometheus(program, tmp_path / "prometheus", targets) as server:
                await eventually(server.ready)
                began = time.time()
                await live_through(suite, several, redis, log, server)
                check(server, began, time.time())


async def live_through(  # type: ignore[no-untyped-def]
    suite, several, redis: RedisServer, log: Path, server: Prometheus
) -> None:
    """A day of the suite in half a minute."""

    async def seen(expression: str, value: float | None = None) -> None:
        def holds() -> bool:
            found = server.now(expression)
            return bool(found) if value is None else found == value

        await eventually_slowly(holds, expression)

    traffic = Traffic(suite.url, log)
    await seen('up{job="suite"}')
    await seen('up{job="logs"}')
    await traffic.linger()
    await seen(rate('eddyline_streams_ended_total{service="chat"}'))
    await traffic.hold()
    async with readers_of(traffic.held):
        # The truth: the clients' open streams are shown.
        await seen('sum(eddyline_streams_open{service="events", job="suite"})', HELD)
        async with (
            background(traffic.publish()),
            background(traffic.ask()),
            background(traffic.talk()),
        ):
            await seen(rate('eddyline_slow_consumers_total{service="events"}'))
            await seen(rate('eddyline_slow_consumers_total{service="logs"}'))
            await seen(rate('eddyline_resets_total{service="logs"}'))
            for _ in range(10):  # a bus that drops messages looks like this
                redis.command(r'PUBLISH eddyline:{events}:bus@0 "x 1 0\n"')
                await asyncio.sleep(0.2)  # sleep: the pace of faults
            await seen(rate("eddyline_bus_gaps_total"))
            await at_the_limit(suite.url, server)
            redis.pause()
            await seen("eddyline_bus_proven_timestamp_seconds == bool 0")
            await seen(rate('eddyline_published_events_total{outcome="unavailable"}'))
            redis.resume()
            await seen("eddyline_bus_proven_timestamp_seconds > bool 0")
            await seen(rate("eddyline_bus_refilled_events_total"))
            await seen("eddyline_redis_memory_limit_bytes > 0")
            await drained(several)
            await seen('eddyline_drain_seconds{job="logs"}')
            await seen('ALERTS{alertname="EddylineBusGaps", alertstate="firing"}')
        # Killed, with all its streams: the counts from outside tell.
        await scraped(server, "suite")
        os.kill(suite.pid, signal.SIGKILL)
        await seen('up{job="suite"} == bool 0')
        await seen('ALERTS{alertname="EddylineStreamsCut", alertstate="firing"}')
        await scraped(server, "logs")
    for stream in (*traffic.held, *filter(None, [traffic.reader])):
        stream.reset()


def rate(counter: str) -> str:
    return f"sum(rate({counter}[{WINDOW}]))"


async def scraped(server: Prometheus, job: str) -> None:
    """Returns when Prometheus has looked at a job twice more."""
    looks = f'sum(count_over_time((up{{job="{job}"}} == 1)[1h:1s]))'
    before = await asyncio.to_thread(server.now, looks) or 0.0
    await eventually_slowly(lambda: (server.now(looks) or 0.0) >= before + 2, looks)


async def at_the_limit(url: str, server: Prometheus) -> None:
    """More streams than may be: some are put off, some are refused."""
    more = [await fetch(url + "/events?topic=more") for _ in range(LIMIT)]
    soft = await get(url + "/events", Accept="text/event-stream")
    assert (soft.status, soft.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert (await get(url + "/download/huge.bin")).status == 429
    await scraped(server, "suite")
    for stream in more:
        stream.reset()


async def drained(several) -> None:  # type: ignore[no-untyped-def]
    """Workers are replaced while one of them has a stream."""
    stream = await fetch(several.url + "/logs/app.log")
    several.process.send_signal(signal.SIGHUP)
    async for _ in stream.chunks():
        pass
    assert stream.clean
    await stream.close()


async def eventually_slowly(condition: Callable[[], bool], what: str) -> None:
    try:
        await eventually(lambda: asyncio.to_thread(condition), 60)
    except TimeoutError:
        pytest.fail(f"never seen: {what}")


def is_constant(name: str, title: str, target: dict[str, str]) -> bool:
    """A Durable Stream is no topic; faults of its readers are not made here, for events and logs
    show the same counters.
    """
    others = title in ("Slow consumers", "Resets, by reason", "Topics and audiences")
    return target["legendFormat"] in CONSTANT or (name == "streams" and others)


def check(server: Prometheus, start: float, end: float) -> None:
    missing, still = [], []
    for name, dashboard in DASHBOARDS.items():
        for panel in dashboard["panels"]:
            for each in panel.get("targets", ()):
                where = f"{name}: {panel['title']}: {each['legendFormat']}"
                lines = server.lines(spelled(each["expr"]), start, end)
                # A quantile of nothing is no number: from none to one is a move, too.
                values = {str(value) for line in lines for value in line}
                if not values - {"nan"}:
                    missing.append(where)
                elif len(values) == 1 and not is_constant(name, panel["title"], each):
                    still.append(f"{where}: {values}")
    assert (missing, still) == ([], [])
