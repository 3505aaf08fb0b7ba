"""The service is killed while clients write: all that it acknowledged is there, once, in order."""

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from eddyline.testing import eventually, free_port

#: Lives of the service; each ends by SIGKILL after so many more acknowledged writes, at random.
LIVES, WRITES = 6, (20, 120)

WRITERS = 4


@asynccontextmanager
async def served(store: str, port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of the service, which ends by SIGKILL."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "eddyline",
        "serve",
        "eddyline_streams.app",
        env=os.environ | {"STREAMS_STORE": store, "EDDYLINE_PORT": str(port)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        await process.wait()


class Writer:
    """Appends numbers by an idempotent producer, each again until it is acknowledged."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.url = f"{url}/v1/stream/{name}"
        self.acknowledged = 0
        #: The offset after each number that was acknowledged.
        self.offsets: list[str] = []

    async def write(self, client: httpx.AsyncClient) -> None:
        while True:
            number = self.acknowledged
            headers = {"Content-Type": "application/json", "Producer-Id": self.name}
            headers |= {"Producer-Epoch": "0", "Producer-Seq": str(number)}
            try:
                answer = await client.post(self.url, content=str(number), headers=headers)
            except httpx.HTTPError:
                await asyncio.sleep(0.02)  # sleep: the pace of its tries
                continue
            assert answer.status_code in (200, 204), answer.text
            self.offsets.append(answer.headers["stream-next-offset"])
            self.acknowledged += 1

    async def check(self, client: httpx.AsyncClient) -> None:
        """All that was acknowledged is there, and each offset names the same place as before."""
        numbers = await read(client, self.url)
        # One more may be there, whose answer the kill has taken.
        assert len(numbers) - self.acknowledged in (0, 1)
        assert numbers == list(range(len(numbers)))
        for at in random.sample(range(self.acknowledged), min(3, self.acknowledged)):
            assert await read(client, self.url, self.offsets[at]) == numbers[at + 1 :]


async def is_served(client: httpx.AsyncClient, url: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return (await client.get(f"{url}/readyz")).status_code == 200
    return False


async def read(client: httpx.AsyncClient, url: str, offset: str = "-1") -> list[int]:
    numbers: list[int] = []
    while True:
        answer = await client.get(url, params={"offset": offset})
        assert answer.status_code == 200, answer.text
        numbers += json.loads(answer.content)
        offset = answer.headers["stream-next-offset"]
        if "stream-up-to-date" in answer.headers:
            return numbers


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["file", "redis"])
async def test_a_killed_service_has_all_that_it_acknowledged(
    kind: str, tmp_path: Path, redis_url: str
) -> None:
    name = f"?name={tmp_path.name}"
    store = f"file://{tmp_path}/streams" if kind == "file" else redis_url + name
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    writers = [Writer(f"w{n}", url) for n in range(WRITERS)]
    total = 0
    async with httpx.AsyncClient(timeout=20) as client:
        for life in range(LIVES):
            async with served(store, port):
                await eventually(lambda: is_served(client, url), 60)
                for writer in writers:
                    if life == 0:
                        made = await client.put(
                            writer.url, headers={"Content-Type": "application/json"}
                        )
                        assert made.status_code == 201
                    await writer.check(client)
                tasks = [asyncio.create_task(writer.write(client)) for writer in writers]
                total += random.randrange(*WRITES)
                await eventually(
                    lambda least=total: sum(w.acknowledged for w in writers) >= least, 60
                )
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError) for each in results), results
    assert min(writer.acknowledged for writer in writers) > LIVES
