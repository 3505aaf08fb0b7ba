"""Real processes of the suite, started as its users start them."""

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from eddyline.service.registry import registrations
from eddyline.testing import Stream, fetch, free_port, wait_until

# Asked for by name, by `make cluster-test`.
collect_ignore = [] if os.environ.get("CLUSTER_TEST") else ["cluster"]

#: Seconds in which a server must be there: coverage and the other tests slow it down.
START = 60.0


@dataclass
class Served:
    """A server in a process group of its own; its output goes to `log`."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self.process.pid

    def output(self) -> str:
        return self.log.read_text()

    def wait_until_ready(self) -> None:
        with suppress(TimeoutError):
            wait_until(lambda: self._ready() or self.process.poll() is not None, START)
            if self.process.poll() is None:
                return
        pytest.fail(f"no server (exit code {self.process.poll()}):\n{self.output()}")

    def _ready(self) -> bool:
        with suppress(OSError):
            with urllib.request.urlopen(self.url + "/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        return False

    def end(self, number: int = signal.SIGTERM, seconds: float = 30) -> int:
        """Signals the process, and returns its exit code."""
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(30)


Launch = Callable[..., AbstractContextManager[Served]]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo data, made by the first process that starts."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def launch(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Launch:
    """`launch("eddyline_standalone")`, or `launch("eddyline_standalone.serve", "events")`."""

    @contextmanager
    def start(module: str, *arguments: str, port: int = 0, **variables: str) -> Iterator[Served]:
        port = port or free_port()
        log = tmp_path_factory.mktemp("log") / "output"
        command = [sys.executable, "-m", module, *arguments, "--data", str(data)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, "--port", str(port)],
                stdout=output,
                stderr=output,
                env=clean_environment() | variables,
                start_new_session=True,
            )
        served = Served(process, port, log)
        try:
            served.wait_until_ready()
            yield served
        finally:
            if process.poll() is None:
                # First by its name, so that it writes down its coverage.
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(15)
            served.kill()

    return start


@pytest.fixture
async def get() -> AsyncIterator[Callable[..., Awaitable[Stream]]]:
    """`fetch`, whose streams are closed at the end of the test."""
    streams: list[Stream] = []

    async def start(url: str, **options: object) -> Stream:
        stream = await fetch(url, **options)  # type: ignore[arg-type]
        streams.append(stream)
        return stream

    yield start
    for stream in streams:
        await stream.close()


def clean_environment() -> dict[str, str]:
    """This environment without the settings of a server."""
    own = ("EDDYLINE_", *(f"{name.upper()}_" for name in registrations()))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(own)}
    return {k: v for k, v in kept.items() if k not in ("HOST", "PORT", "DATA")}


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    return clean_environment()


@pytest.fixture(scope="module")
def chromium(tool: Callable[..., str]) -> Iterator[Browser]:
    path = tool("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
