"""A server under measurement: how it is found, started on one core, watched and stopped."""

import importlib.metadata
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench import procfs
from bench.tools import BenchError, own_core

START_SECONDS = 30.0
STOP_SECONDS = 5.0
ROOM = 2  # ports above its own that a server may take
Command = Callable[[int, Path], list[str]]  # port and an empty folder to the command line


@dataclass(frozen=True)
class Server:
    name: str
    command: Command
    version: Callable[[], str]
    how_to_get: str = ""
    missing: Callable[[], str | None] = lambda: None  # why it cannot run here
    environment: Mapping[str, str] = field(default_factory=dict)
    publish_port: int = 0  # where it takes events, so far above its port
    prepare: str = ""  # a whole request, sent once before anything is measured
    redis: bool = False  # has one of its own, named by EVENTS_REDIS_URL, on the clients' core


@dataclass(frozen=True)
class EventServer(Server):
    subscribe: str = ""  # a whole request
    publish: Callable[[str], str] = str  # the data of an event to a whole request
    opening: int = 256  # subscribers that connect at once
    batch: Callable[[str, int], str] | None = None  # so many events of that data in one request
    batch_kind: str = ""
    barred: bool = True  # compared in a bar, so measured in every round


@dataclass(frozen=True)
class FileServer(Server):
    path: str = "/"
    sized: bool = True  # it sends Content-Length, so that requests can follow one another


@dataclass(frozen=True)
class Running:
    port: int
    process: subprocess.Popen[bytes]
    redis: subprocess.Popen[bytes] | None = None
    redis_port: int = 0

    def pids(self) -> list[int]:
        return procfs.tree(self.process.pid)

    def cpu(self) -> float:
        return procfs.cpu_seconds(self.pids())

    def memory(self) -> int:
        return procfs.memory(self.pids())

    def peak_memory(self) -> int:
        return procfs.peak_memory(self.pids())

    def redis_cpu(self) -> float:
        return procfs.cpu_seconds([self.redis.pid]) if self.redis else 0.0


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
    if server.redis:
        variables.append("EVENTS_REDIS_URL=redis://127.0.0.1:0")
    return " ".join([*variables, *words]).replace(str(Path.cwd()), ".")


def output_of(*command: str) -> str:
    """The output of a program, on either stream: nginx tells its version on stderr."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    return (done.stdout + done.stderr).strip()


def free_port(more: int = 0) -> int:
    """A port that is free, as are so many above it."""
    while True:
        with ExitStack() as stack:
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            port: int = listener.getsockname()[1]
            try:
                for n in range(1, more + 1):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port + n))
            except (OSError, OverflowError):
                continue
            return port


REDIS = "redis-server"
# An acknowledged write is in the file within a second: Redis's own default once it is asked to keep
# anything.
REDIS_OPTIONS = ("--appendonly yes", "--appendfsync everysec", "--save ''", "--bind 127.0.0.1")


def redis_version() -> str:
    found = re.search(r"v=(\S+)", output_of(REDIS, "--version"))
    return f"Redis {found[1] if found else 'of unknown version'} ({' '.join(REDIS_OPTIONS)})"


@contextmanager
def _redis(server: Server, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes] | None, int]]:
    """A Redis for a server that wants one, and its port."""
    if not server.redis:
        yield None, 0
        return
    port, home = free_port(), folder / "redis"
    home.mkdir()
    options = [word for option in REDIS_OPTIONS for word in shlex.split(option)]
    with (folder / "redis.log").open("wb") as out:
        process = subprocess.Popen(
            [REDIS, "--port", str(port), "--dir", str(home), *options],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            preexec_fn=own_core(server=False),
        )
    try:
        _wait_until_listening("Redis", port, process, folder / "redis.log")
        yield process, port
    finally:
        _stop(process)


def _wait_until_listening(
    name: str, port: int, process: subprocess.Popen[bytes], log: Path
) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    lines = log.read_text(errors="replace").split("\n")
    said = next((line for line in reversed(lines) if line.strip()), "nothing said")
    raise BenchError(f"{name} did not start: {said[:300]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ends the whole process group: SIGTERM, then SIGKILL for the rest of it."""
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
    folder = Path(tempfile.mkdtemp(prefix="eddyline-bench-"))
    try:
        with _redis(server, folder) as (redis, at), _started(server, folder, at) as running:
            yield replace(running, redis=redis, redis_port=at)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _started(server: Server, folder: Path, redis: int) -> Iterator[Running]:
    log, port = folder / "log", free_port(ROOM)
    own = {
        name: value.replace("@folder@", str(folder)) for name, value in server.environment.items()
    }
    environment = {**os.environ, "HOME": str(folder), **own}
    if redis:
        environment["EVENTS_REDIS_URL"] = f"redis://127.0.0.1:{redis}"
    with log.open("wb") as out:
        process = subprocess.Popen(
            server.command(port, folder),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=folder,
            env=environment,
            start_new_session=True,
            preexec_fn=own_core(server=True),
        )
    try:
        _wait_until_listening(server.name, port, process, log)
        _wait_until_listening(server.name, port + server.publish_port, process, log)
        if server.prepare:
            _prepare(server, port)
        yield Running(port, process)
    finally:
        _stop(process)


def _prepare(server: Server, port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), START_SECONDS) as connection:
        connection.sendall(server.prepare.encode())
        answer = connection.recv(4096)
    if not re.match(rb"HTTP/1.1 2", answer):
        raise BenchError(f"{server.name} could not be prepared: {answer[:100]!r}")


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
        *(sys.executable, "-m", "eddyline", "serve", app),
        *("--host", "127.0.0.1", "--port", str(port)),
    ]
