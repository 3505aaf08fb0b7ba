"""Clients of other people, unchanged, against a running hub: each receives, drops, and resumes."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from httpx_sse import aconnect_sse
from playwright.async_api import async_playwright

from eddyline.testing import PATIENCE, FaultProxy, eventually
from eddyline.wire import sse

CLIENTS = Path(__file__).parents[1] / ".tools" / "clients"

KEY = "a key for tests, of more than 32 bytes"


class Client:
    """A client's process; each line that it prints is an event, as JSON: [id, data]."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.events: list[list[str]] = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.events.append(orjson.loads(line))

    async def has(self, numbers: range) -> None:
        """Exactly these, in this order: nothing lost, nothing twice."""
        await eventually(lambda: len(self.events) >= len(numbers))
        assert [int(data) for _, data in self.events] == list(numbers)

    async def kill(self) -> str:
        """The id that it has seen last."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()
        await self._reading
        return self.events[-1][0] if self.events else ""


@pytest.fixture
async def run() -> AsyncIterator[Callable[..., Any]]:
    clients: list[Client] = []

    async def start(*command: str, **options: Any) -> Client:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, **options
        )
        clients.append(Client(process))
        return clients[-1]

    yield start
    for client in clients:
        await client.kill()


class Hub:
    """A hub's process behind a proxy; `published` numbers went to its topic `t`."""

    def __init__(self, port: int, proxy: FaultProxy) -> None:
        self.url = proxy.url
        self.proxy = proxy
        self.published = 0
        self._direct = f"http://127.0.0.1:{port}"

    async def publish(self, count: int) -> None:
        lines = (
            orjson.dumps({"topic": "t", "data": self.published + n}) + b"\n" for n in range(count)
        )
        async with httpx.AsyncClient() as client:
            answer = await client.post(
                self._direct + "/events",
                content=b"".join(lines),
                headers={"Content-Type": "application/x-ndjson"},
            )
        assert answer.is_success, answer.text
        self.published += count

    async def streams(self, count: int) -> None:
        """Waits until so many are open."""
        sample = 'eddyline_streams_open{kind="broadcast",service="events"}'
        async with httpx.AsyncClient() as client:

            async def open() -> bool:
                text = (await client.get(self._direct + "/metrics")).text
                values = [line.split()[1] for line in text.splitlines() if line.startswith(sample)]
                return bool(values) and float(values[0]) == count

            await eventually(open, PATIENCE)


@pytest.fixture
def hub_of(launch: Any) -> Callable[..., Any]:
    @asynccontextmanager
    async def start(**variables: str) -> AsyncIterator[Hub]:
        with launch("eddyline_standalone.serve", "events", **variables) as served:
            async with FaultProxy(served.port) as proxy:
                yield Hub(served.port, proxy)

    return start


@pytest.fixture
async def hub(hub_of: Callable[..., Any]) -> AsyncIterator[Hub]:
    async with hub_of() as started:
        yield started


def installed(name: str) -> Path:
    """The clients that scripts/install-test-clients has installed."""
    folder = CLIENTS / name
    if not folder.exists():
        message = f"{folder} is missing: run scripts/install-test-clients"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


async def resumes_by_itself(client: Client, hub: Hub) -> None:
    await hub.streams(1)
    await hub.publish(3)
    await client.has(range(3))
    for _ in range(2):
        hub.proxy.cut()
        await hub.publish(3)
        await client.has(range(hub.published))


async def test_curl(hub: Hub, tool: Callable[..., str]) -> None:
    async def curl(*headers: str) -> asyncio.subprocess.Process:
        options = [option for header in headers for option in ("-H", header)]
        url = hub.url + "/events?topic=t"
        return await asyncio.create_subprocess_exec(
            tool("curl"), "-sN", *options, url, stdout=asyncio.subprocess.PIPE
        )

    got: list[sse.Event] = []
    last = ""
    for numbers in (3, 5):
        process = await curl(*([f"Last-Event-ID: {last}"] if last else []))
        assert process.stdout is not None
        parser = sse.Parser(last)
        if not last:
            await hub.streams(1)
            await hub.publish(3)
        async with asyncio.timeout(PATIENCE):
            while len(got) < numbers:
                got += parser.feed(await process.stdout.read(65536))
        process.kill()
        await process.wait()
        last = parser.last_event_id
        await hub.publish(2)
    assert [int(event.data) for event in got] == list(range(5))


EVENT_SOURCE = """
const source = new EventSource(%s);
source.onmessage = ({ lastEventId, data }) => console.log(JSON.stringify([lastEventId, data]));
"""


@pytest.mark.parametrize("path", ["/events?topic=t", "/.well-known/mercure?topic=t"])
async def test_npms_eventsource(hub: Hub, tool: Any, run: Any, path: str) -> None:
    installed("node_modules")
    script = "import { EventSource } from 'eventsource';" + EVENT_SOURCE % repr(hub.url + path)
    options = ("--input-type=module", "--eval", script)
    await resumes_by_itself(await run(tool("node"), *options, cwd=CLIENTS), hub)


@pytest.mark.xdist_group("browser")
@pytest.mark.parametrize("path", ["/events?topic=t", "/.well-known/mercure?topic=t"])
async def test_a_browsers_event_source(hub: Hub, tool: Any, path: str) -> None:
    program = tool("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    async with async_playwright() as playwright:
        async with await playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox"]
        ) as browser:
            page = await browser.new_page()
            got: list[int] = []
            page.on("console", lambda said: said.type == "log" and got.append(json_data(said.text)))
            await page.goto(hub.url + "/livez")
            await page.evaluate("() => {" + EVENT_SOURCE % repr(path) + "}")
            await hub.streams(1)
            await hub.publish(3)
            await eventually(lambda: len(got) == 3)
            for _ in range(2):
                hub.proxy.cut()
                await hub.publish(3)
                await eventually(lambda: len(got) >= hub.published)
                assert got == list(range(hub.published))


def json_data(line: str) -> int:
    return int(orjson.loads(line)[1])


async def test_httpx_sse(hub: Hub) -> None:
    got: list[int] = []
    last = ""

    async def read(until: int) -> None:
        nonlocal last
        headers = {"Last-Event-ID": last} if last else {}
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            url = hub.url + "/events?topic=t"
            async with aconnect_sse(client, "GET", url, headers=headers) as source:
                async for event in source.aiter_sse():
                    last = event.id
                    if event.data:  # it shows blocks without data, which only move the id
                        got.append(int(event.data))
                    if got[-1:] == [until]:
                        return

    reading = asyncio.create_task(read(until=100))
    await hub.streams(1)
    await hub.publish(3)
    await eventually(lambda: len(got) == 3)
    hub.proxy.cut()
    with pytest.raises(httpx.TransportError):
        await reading
    await hub.publish(3)
    await read(until=5)
    assert got == list(range(6))


# Its Consumer takes the hub's URL and the topics, and no id: the id goes into the URL.
CONSUME = """
import json, sys, urllib.parse
from pymercure.consumer import Consumer
def show(message):
    print(json.dumps([message.message_id, message.data]), flush=True)
Consumer(sys.argv[1], ["t"], show).start_consumption()
"""

PUBLISH = """
import sys
from mercure_publisher import MercureConfig, MercurePublisher
url, key, *numbers = sys.argv[1:]
with MercurePublisher(MercureConfig(url, key, ["*"])) as publisher:
    for number in numbers:
        private = number == numbers[0]
        print(publisher.publish(["t", "u"], number, private=private, id=f"urn:number:{number}"))
"""


async def test_published_mercure_clients(hub_of: Any, run: Any) -> None:
    environment = os.environ | {"PYTHONPATH": str(installed("python"))}
    python = (sys.executable, "-c")

    async def publish(hub: Hub, *numbers: int) -> None:
        command = [*python, PUBLISH, hub.url + "/.well-known/mercure", KEY, *map(str, numbers)]
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        assert output.decode().split() == [f"urn:number:{number}" for number in numbers]

    async with hub_of(EDDYLINE_AUTH_KEY=KEY, EVENTS_ANONYMOUS="1") as hub:
        url = hub.url + "/.well-known/mercure"
        consumer = await run(*python, CONSUME, url, env=environment)
        await hub.streams(1)
        # The first of each is private, and the consumer has no token.
        await publish(hub, 0, 1, 2, 3)
        await consumer.has(range(1, 4))
        last = await consumer.kill()
        assert last == "urn:number:3"
        await publish(hub, 4, 5, 6)
        resumed = f"{url}?lastEventID={last}&topic=t&rest="
        again = await run(*python, CONSUME, resumed, env=environment)
        await again.has(range(5, 7))
        await publish(hub, 7, 8)
        await eventually(lambda: len(again.events) == 3)
        assert again.events[-1] == ["urn:number:8", "8"]
