"""The official clients of Durable Streams, unchanged: one writes, others are cut off and resume."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eddyline.testing import FaultProxy, eventually, fetch, running
from eddyline_downloads.app import create_app as create_downloads
from eddyline_downloads.settings import DownloadsSettings
from eddyline_events.app import create_app as create_events
from eddyline_events.settings import EventsSettings
from eddyline_streams.app import create_app
from eddyline_streams.settings import StreamsSettings

HERE = Path(__file__).parent / "clients"
INSTALLED = HERE.parents[1] / ".tools" / "clients"

JSON = "application/json"

#: Messages, and how often all connections are cut meanwhile.
COUNT, CUTS = 2000, 8

pytestmark = pytest.mark.xdist_group("conformance")


class Client:
    """A client's process; each line that it prints is an item."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.items: list[Any] = []
        self.ended = asyncio.create_task(self._read())

    async def _read(self) -> int:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.items.append(json.loads(line))
        return await self.process.wait()


async def start(*command: Any) -> Client:
    path = {"PYTHONPATH": str(INSTALLED / "python")}
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, env=os.environ | path
    )
    return Client(process)


@pytest.fixture
def typescript(tool: Callable[..., str]) -> tuple[str, str]:
    """Node, and the program beside its packages."""
    if not (INSTALLED / "node_modules" / "@durable-streams" / "client").exists():
        message = "npm's @durable-streams/client is missing: scripts/install-test-clients"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    program = INSTALLED / "durable.mjs"
    shutil.copyfile(HERE / program.name, program)
    return tool("node"), str(program)


async def test_what_a_client_writes_once_others_read_once_through_cuts(
    typescript: tuple[str, str],
) -> None:
    python = (sys.executable, str(HERE / "durable_user.py"))
    app = create_app(StreamsSettings(long_poll=1, sse=2))
    async with running(app) as server, FaultProxy(server.port) as proxy:
        url = f"{proxy.url}/v1/stream/numbers"
        async with await fetch(url, method="PUT", headers={"Content-Type": JSON}) as made:
            assert made.status == 201
        # Not through the proxy: this client gives a batch up whose answer is cut off, and all that
        # follow it are refused as a gap, which is right.
        direct = f"{server.url}/v1/stream/numbers"
        writer = await start(*typescript, "write", direct, str(COUNT))
        clients = [writer]
        try:
            for command in ((*typescript, "read", url), (*python, url)):
                for mode in ("sse", "long-poll"):
                    more = (str(COUNT),) if command[0] == sys.executable else ()
                    clients.append(await start(*command, mode, *more))
            readers = clients[1:]
            for cut in range(CUTS):
                await eventually(
                    lambda n=cut: all(len(r.items) > n * COUNT // CUTS // 2 for r in readers), 60
                )
                proxy.cut()
            async with asyncio.timeout(120):
                assert await writer.ended == 0
                for reader in readers:
                    assert await reader.ended == 0
            for reader in readers:
                assert reader.items == list(range(COUNT))
        finally:
            for client in clients:
                if client.process.returncode is None:
                    client.process.kill()
                await client.ended


async def test_a_topic_is_tailed_by_the_official_clients_through_cuts(
    typescript: tuple[str, str],
) -> None:
    """By their own offsets, from the beginning: each event once, in order."""
    python = (sys.executable, str(HERE / "durable_user.py"))
    count, cuts, batch = 600, 3, 20
    app = create_events(EventsSettings())
    async with running(app) as server, FaultProxy(server.port) as proxy:
        url = f"{proxy.url}/events?topic=numbers"
        readers = []
        try:
            for mode in ("sse", "long-poll"):
                readers.append(await start(*typescript, "read", url, mode))
                readers.append(await start(*python, url, mode, str(count)))
            for first in range(0, count, batch):
                numbers = range(first, first + batch)
                for topic in ("numbers", "noise"):
                    body = json.dumps([{"topic": topic, "data": n} for n in numbers]).encode()
                    headers = {"Content-Type": JSON}
                    events = f"{server.url}/events"
                    async with await fetch(
                        events, method="POST", body=body, headers=headers
                    ) as answer:
                        assert answer.status == 201
                if first % (count // cuts) == 0:
                    await eventually(lambda n=first: all(len(r.items) >= n for r in readers), 60)
                    # The client takes three connections of less than a second for a bad proxy.
                    await asyncio.sleep(1.1)  # sleep: the pace of the cuts
                    proxy.cut()
            await eventually(lambda: all(len(r.items) >= count for r in readers), 60)
            for reader in readers:
                assert [item["data"] for item in reader.items] == list(range(count))
        finally:
            for reader in readers:
                if reader.process.returncode is None:
                    reader.process.kill()
                await reader.ended


async def test_a_file_is_tailed_by_the_official_client_through_cuts(
    typescript: tuple[str, str], tmp_path: Path
) -> None:
    """By its own offsets, from the beginning: byte for byte."""
    lines, cuts = 300, 3
    path = tmp_path / "grows.log"
    path.touch()

    def read(reader: Client) -> bytes:
        return "".join(reader.items).encode()

    app = create_downloads(DownloadsSettings(store=str(tmp_path)))
    async with running(app) as server, FaultProxy(server.port) as proxy:
        url = f"{proxy.url}/download/grows.log"
        readers = [await start(*typescript, "bytes", url, mode) for mode in ("sse", "long-poll")]
        try:
            for first in range(0, lines, lines // cuts):
                for n in range(first, first + lines // cuts):
                    with path.open("ab") as file:
                        file.write(b"line %d\n" % n)
                whole = path.read_bytes()
                await eventually(lambda: all(read(each) == whole for each in readers), 60)  # noqa: B023
                # The client takes three connections of less than a second for a bad proxy.
                await asyncio.sleep(1.1)  # sleep: the pace of the cuts
                proxy.cut()
        finally:
            for reader in readers:
                reader.process.kill()
                await reader.ended
