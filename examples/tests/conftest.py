"""Runs an example as its README says: uvicorn in the example's folder."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from eddyline.testing import PATIENCE, eventually, free_port

EXAMPLES = Path(__file__).parents[1]

Run = Callable[[str], AbstractAsyncContextManager["Example"]]


@dataclass
class Example:
    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def stop(self) -> int:
        """As by an operator; the exit code. uvicorn kills itself by the signal that it got."""
        self.process.send_signal(signal.SIGTERM)
        await eventually(lambda: self.process.poll() is not None)
        return self.process.returncode


@pytest.fixture
def run() -> Run:
    @asynccontextmanager
    async def start(name: str) -> AsyncIterator[Example]:
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port)]
        with subprocess.Popen(command, cwd=EXAMPLES / name) as process:
            try:
                await _listens(port, process)
                yield Example(port, process)
            finally:
                process.kill()

    return start


async def _listens(port: int, process: subprocess.Popen[bytes]) -> None:
    async with asyncio.timeout(PATIENCE):
        while process.poll() is None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
    raise RuntimeError(f"uvicorn ended with {process.returncode}")
