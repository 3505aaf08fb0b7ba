"""A server under measurement: how it is found, started on one core, watched and stopped."""

import importlib.metadata
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import procfs
from bench.tools import BenchError, own_core

START_SECONDS = 30.0
STOP_SECONDS = 5.0
Command = Callable[[int, Path], list[str]]  # port and an empty folder to the command line


@dataclass(frozen=True)
class Server:
    name: str
    command: Command
    version: Callable[[], str]
    how_to_get: str = ""
    missing: Callable[[], str | None] = lambda: None  # why it cannot run here
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class EventServer(Server):
    subscribe: str = ""  # a whole request
    publish: Callable[[str], str] = str  # the data of an event to a whole request


@dataclass(frozen=True)
class FileServer(Server):
    path: str = "/"
    sized: bool = True  # it sends Content-Length, so that requests can follow one another


@dataclass(frozen=True)
class Running:
    port: int
    process: subprocess.Popen[bytes]

    def pids(self) -> list[int]:
        return procfs.tree(self.process.pid)

    def cpu(self) -> float:
        return procfs.cpu_seconds(self.pids())

    def memory(self) -> int:
        return procfs.memory(self.pids())

    def peak_memory(self) -> int:
        return procfs.peak_memory(self.pids())


def packages(*names: str) -> Callable[[], str]:
    """Names and versions of installed distributions; without them, that they are missing."""

    def version(name: str) -> str:
        try:
            return f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            return f"{name} (not installed)"

    return lambda: ", ".join(version(name) for name in names)


def described(server: Server) -> str:
    """The command line, for the reader: no port, no path that is of this machine alone."""
    with tempfile.TemporaryDirectory() as folder:
        words = server.command(0, Path(folder))
    words = [Path(words[0]).name, *(w.replace(folder, "FOLDER") for w in words[1:])]
    variables = [f"{name}={value}" for name, value in server.environment.items()]
    return " ".join([*variables, *words]).replace(str(Path.cwd()), ".")


def output_of(*command: str) -> str:
    """What a program prints, on whichever stream: nginx tells its version on stderr."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    return (done.stdout + done.stderr).strip()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _wait_until_listening(server: Server, running: Running, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if running.process.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", running.port)) == 0:
                return
        time.sleep(0.05)
    lines = log.read_text(errors="replace").split("\n")
    said = next((line for line in reversed(lines) if line.strip()), "nothing said")
    raise BenchError(f"{server.name} did not start: {said[:300]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ends the whole process group: SIGTERM, then SIGKILL for what is left of it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + STOP_SECONDS
        try:
            os.killpg(process.pid, number)
            while time.monotonic() < deadline:
                process.poll()  # reaps it, so that the group can end
                os.killpg(process.pid, 0)
                time.sleep(0.01)
        except ProcessLookupError:
            return


@contextmanager
def serve(server: Server) -> Iterator[Running]:
    """Runs the server pinned to its core, in a folder that is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="millrace-bench-"))
    log, port = folder / "log", free_port()
    try:
        with log.open("wb") as out:
            process = subprocess.Popen(
                server.command(port, folder),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=folder,
                env={**os.environ, "HOME": str(folder), **server.environment},
                start_new_session=True,
                preexec_fn=own_core(server=True),
            )
        try:
            running = Running(port, process)
            _wait_until_listening(server, running, log)
            yield running
        finally:
            _stop(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def uvicorn(app: str) -> Command:
    """An app of this package by uvicorn, set as it would be in production."""
    options = [
        "--http",
        "httptools",
        "--loop",
        "asyncio",
        "--no-access-log",
        "--log-level",
        "warning",
    ]
    return lambda port, _: [
        *(sys.executable, "-m", "uvicorn", app, "--host", "127.0.0.1", "--port", str(port)),
        *options,
    ]


def ours(app: str) -> Command:
    return lambda port, _: [
        *(sys.executable, "-m", "streaming.serve", app),
        *("--host", "127.0.0.1", "--port", str(port)),
    ]
