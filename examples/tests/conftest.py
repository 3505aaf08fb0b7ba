"""Runs an example by uvicorn in its folder, or by all commands of its README; and a browser."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

from eddyline.testing import PATIENCE, eventually, free_port

from .readme import EXAMPLES, Readme

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
    async def answers() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"uvicorn ended with {process.returncode}")
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return True
        return False

    await eventually(answers)


@pytest.fixture
async def readme(tmp_path: Path) -> AsyncIterator[Callable[..., Readme]]:
    """`readme("live_page")`: its commands. Those that run at the end of the test are ended."""
    started: list[Readme] = []

    def of(name: str, **variables: str) -> Readme:
        started.append(Readme(name, tmp_path, **variables))
        return started[-1]

    yield of
    for terminal in (terminal for each in started for terminal in each.terminals):
        await terminal.stop()


@pytest.fixture
async def page(tool: Callable[..., str]) -> AsyncIterator[Page]:
    """A tab of a Chromium."""
    path = tool("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    async with async_playwright() as playwright:
        async with await playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox"]
        ) as browser:
            expect.set_options(timeout=PATIENCE * 1000)
            yield await browser.new_page()
