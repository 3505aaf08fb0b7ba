"""The library without the suite: its wheel in empty environments, under three servers, among other
people's packages.
"""

import asyncio
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from eddyline.testing import Stream, eventually, fetch, free_port
from eddyline.testing.stream import abort_all

# One process builds the wheels and the environments, once.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("library alone")]

ROOT = Path(__file__).parents[1]
README = ROOT / "shared/streaming/README.md"

SUBSCRIBERS = 200
EVENTS = 400
#: Seconds: the hub's `drain_window`, and those that a busy machine may take longer.
WINDOW = 2.0
SLACK = 15.0

#: Commands by server, without the port; `granian` runs its app in a process of its own.
SERVERS = {
    "uvicorn": "uvicorn main:app --port {port}",
    "detached": "uvicorn main:app --http eddyline.server.protocol:StreamProtocol --port {port}",
    "hypercorn": "hypercorn main:app --bind 127.0.0.1:{port}",
    "granian": "granian --interface asgi main:app --port {port}",
}

PUBLISH = """
@app.post("/orders")
async def order(request: Request):
    for number in await request.json():
        await hub.publish("orders", number)
    return number
"""


def uv(*arguments: object) -> str:
    """The output of uv; the test is skipped where the package index can't be reached."""
    program = shutil.which("uv") or str(ROOT / ".tools/bin/uv")
    if not Path(program).exists():
        missing = "uv is missing: scripts/install-uv .tools"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    done = subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, timeout=300
    )
    if re.search(r"[Ff]ailed to fetch|[Cc]ould not connect|dns error", done.stderr):
        pytest.skip(f"no package index: set UV_INDEX_URL to one. uv: {done.stderr.strip()[-300:]}")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    for package in ("eddyline", "eddyline-events"):
        uv("build", "--quiet", "--wheel", "--package", package, "--out-dir", folder, ROOT)
    return folder


def wheel(wheels: Path, package: str) -> Path:
    [found] = wheels.glob(f"{package}-*.whl")
    return found


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Makes an environment without any package."""

    def make() -> Path:
        folder = tmp_path_factory.mktemp("environment")
        uv("venv", "--quiet", folder)
        return folder

    return make


def install(environment: Path, *packages: object) -> None:
    uv("pip", "install", "--quiet", "--python", environment, *packages)


def installed(environment: Path) -> set[str]:
    listed = json.loads(uv("pip", "list", "--format", "json", "--python", environment))
    return {package["name"] for package in listed}


@pytest.fixture(scope="module")
def alone(wheels: Path, empty: Callable[[], Path]) -> Path:
    environment = empty()
    install(environment, wheel(wheels, "eddyline"))
    assert len(installed(environment) - {"eddyline"}) <= 6
    install(environment, "fastapi", "uvicorn", "httptools", "hypercorn", "granian")
    return environment


@pytest.fixture
def five_lines(tmp_path: Path) -> Path:
    """A folder with the README's five lines as `main.py`, and a route that publishes numbers."""
    [code] = re.findall(r"^```python\n(.*?# anywhere:.*?)^```$", README.read_text(), re.S | re.M)
    (tmp_path / "main.py").write_text(code + PUBLISH)
    return tmp_path


@contextmanager
def running(
    environment: Path, folder: Path, command: str, port: int, **variables: str
) -> Iterator["subprocess.Popen[bytes]"]:
    own = {"PATH": f"{environment}/bin:{os.environ['PATH']}", "HOME": os.environ["HOME"]}
    program, *arguments = command.format(port=port).split()
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [environment / "bin" / program, *arguments],
        cwd=folder,
        env=own | variables,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        yield process
        assert "Traceback" not in (folder / "log").read_text()
    finally:
        abort_all()
        log.close()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


async def answers(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    async def there() -> bool:
        assert process.poll() is None, log.read_text()
        with suppress(OSError, asyncio.IncompleteReadError):
            async with await fetch(url) as stream:
                assert stream.status == 200
                return True
        return False

    await eventually(there, 60)


class Client:
    """A subscriber that comes back with its last id, and whose connection is cut at random."""

    def __init__(self, url: str, seed: int) -> None:
        self.url = url
        self.random = random.Random(seed)
        self.numbers: list[int] = []
        self.last_id = ""
        self.cuts = 0
        self.cutting = True
        self.stream: Stream | None = None

    async def connect(self) -> Stream:
        headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
        self.stream = await fetch(self.url, headers=headers)
        self.stream.parser.last_event_id = self.stream.parser._id = self.last_id
        await self.read(self.stream)
        return self.stream

    async def read(self, stream: Stream) -> bytes:
        data = await stream.read()
        for event in stream.parser.feed(data):
            assert event.event == "message", event
            self.numbers.append(int(event.data))
        self.last_id = stream.parser.last_event_id
        return data

    async def follow(self) -> Stream:
        """Until the server ends the stream; that is the last one."""
        stream = self.stream
        assert stream is not None
        while True:
            if self.cutting and self.random.random() < 0.1:
                self.cuts += 1
                stream.reset()
                stream = await self.connect()
            if not await self.read(stream):
                return stream


async def publish(url: str, numbers: list[int]) -> None:
    answer = await fetch(f"{url}/orders", method="POST", body=json.dumps(numbers).encode())
    assert answer.status == 200
    await answer.body()
    await answer.close()


@pytest.mark.parametrize("server", SERVERS)
async def test_nothing_is_lost_or_comes_twice_and_sigterm_ends_all_in_the_window(
    alone: Path, five_lines: Path, server: str
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running(alone, five_lines, SERVERS[server], port) as process:
        await answers(process, f"{url}/openapi.json", five_lines / "log")
        clients = [Client(f"{url}/events", seed) for seed in range(SUBSCRIBERS)]
        for client in clients:
            await client.connect()
        following = [asyncio.create_task(client.follow()) for client in clients]
        for start in range(0, EVENTS, 10):
            await publish(url, list(range(start, start + 10)))
            await asyncio.sleep(0)
        for client in clients:
            client.cutting = False
        await eventually(lambda: all(len(c.numbers) >= EVENTS for c in clients), 60)

        await publish(url, list(range(EVENTS, EVENTS + 50)))
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        ended = await asyncio.wait_for(asyncio.gather(*following), WINDOW + SLACK)
        await asyncio.to_thread(process.wait, SLACK)
        assert time.monotonic() - began < WINDOW + SLACK

    assert sum(client.cuts for client in clients) > SUBSCRIBERS
    for client, stream in zip(clients, ended, strict=True):
        assert client.numbers == list(range(EVENTS + 50))
        assert stream.clean
        assert stream.parser.retry is not None


def test_the_readme_names_each_command_that_runs_here() -> None:
    text = README.read_text()
    for command in SERVERS.values():
        assert command.split(" --port")[0].split(" --bind")[0] in text
    for extra in ("server", "redis", "client"):
        assert f'pip install "eddyline[{extra}]"' in text


def test_the_install_lines_of_the_readme_work(empty: Callable[[], Path]) -> None:
    text = (ROOT / "README.md").read_text()
    lines = re.findall(r"^pip install (.*?)(?: *#.*)?$", text, re.MULTILINE)
    assert len(lines) == 2
    environment = empty()
    for line in lines:
        sources = shlex.split(line.replace("./shared", str(ROOT / "shared")))
        install(environment, *sources)
    command = [environment / "bin/python", "-c", "from eddyline import EventSource, Hub"]
    subprocess.run(command, check=True, timeout=60)
    assert {"eddyline", "fastapi", "httpx", "uvicorn"} <= installed(environment)


def test_an_extra_brings_its_packages_and_no_others(
    wheels: Path, empty: Callable[[], Path]
) -> None:
    brings = {"redis": "redis", "client": "httpx", "auth": "pyjwt", "server": "uvicorn"}
    for extra, package in brings.items():
        environment = empty()
        install(environment, f"eddyline[{extra}] @ file://{wheel(wheels, 'eddyline')}")
        there = installed(environment) & set(brings.values())
        assert there - ({"httpx"} if extra == "auth" else set()) == {package}


def test_the_wheel_has_its_papers_and_its_names(wheels: Path, empty: Callable[[], Path]) -> None:
    environment = empty()
    install(environment, wheel(wheels, "eddyline"))
    names = "eddyline.Hub, eddyline.FileResponse, eddyline.PullResponse, eddyline.NdjsonResponse"
    command = [environment / "bin/python", "-c", f"import eddyline; {names}"]
    subprocess.run(command, check=True, timeout=60, cwd=environment)
    [papers] = environment.glob("lib/*/site-packages/eddyline-*.dist-info")
    text = (papers / "METADATA").read_text()
    for line in ("License-Expression: Apache-2.0", "Project-URL: ", "Classifier: Typing :: Typed"):
        assert line in text
    assert README.read_text() in text
    assert (papers / "licenses/LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    files = {path.name for path in papers.parent.glob("eddyline/**/*")}
    assert {"py.typed", "append.lua", "read.lua", "state.lua"} <= files
    assert "tests" not in files


#: Import names that belong to others on PyPI, by distribution.
OTHERS = {"mosaicml-streaming": "streaming", "Events": "events", "records": "records"}


@pytest.fixture(scope="module")
def crowded(wheels: Path, empty: Callable[[], Path]) -> Path:
    """An environment with other people's packages, and the events service."""
    environment = empty()
    install(environment, "--no-deps", *OTHERS)
    # The services pin the library's version: the wheel at hand is the one that they mean.
    library = f"eddyline[auth,redis,server] @ file://{wheel(wheels, 'eddyline')}"
    install(environment, library, wheel(wheels, "eddyline_events"))
    return environment


@pytest.fixture
def folder_of_a_user(tmp_path: Path) -> Path:
    """A Django project's apps have names like those."""
    for name in ("events", "streaming", "records", "logs", "chat", "downloads", "server"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"raise ImportError('{name} is mine')\n")
    return tmp_path


async def test_the_service_runs_among_packages_and_folders_of_others(
    crowded: Path, folder_of_a_user: Path
) -> None:
    for module in OTHERS.values():
        assert [*crowded.glob(f"lib/*/site-packages/{module}*")], f"{module} is not there"
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = "python -m eddyline serve eddyline_events.app:app --port {port}"
    with running(
        crowded, folder_of_a_user, command, port, EDDYLINE_DRAIN_WINDOW=f"{WINDOW}"
    ) as process:
        await answers(process, f"{url}/readyz", folder_of_a_user / "log")
        stream = await fetch(f"{url}/events?topic=orders")
        await stream.read()
        body = b'{"topic": "orders", "data": {"id": 7}}'
        answer = await fetch(f"{url}/events", method="POST", body=body)
        assert answer.status == 201, await answer.body()
        event = await stream.event()
        assert event is not None
        assert event.id == (await answer.json())["id"]
        process.send_signal(signal.SIGTERM)
        assert await stream.events() == []
        assert stream.clean
        assert await asyncio.to_thread(process.wait, 60) == 0


async def one_event_and_the_end(environment: Path, folder: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running(environment, folder, SERVERS["uvicorn"], port) as process:
        await answers(process, f"{url}/openapi.json", folder / "log")
        stream = await fetch(f"{url}/events")
        await stream.read()
        await publish(url, [7])
        process.send_signal(signal.SIGTERM)
        assert [event.data for event in await stream.events()] == ["7"]
        assert stream.clean


async def test_the_five_lines_run_among_packages_and_folders_of_others(
    crowded: Path, five_lines: Path, folder_of_a_user: Path
) -> None:
    assert five_lines == folder_of_a_user
    await one_event_and_the_end(crowded, five_lines)


async def test_the_five_lines_run_on_the_oldest_versions_that_the_library_allows(
    wheels: Path, empty: Callable[[], Path], five_lines: Path
) -> None:
    project = tomllib.loads((ROOT / "shared/streaming/pyproject.toml").read_text())["project"]
    oldest = [each.replace(">=", "==") for each in project["dependencies"]]
    environment = empty()
    install(environment, wheel(wheels, "eddyline"), *oldest, "fastapi", "uvicorn")
    await one_event_and_the_end(environment, five_lines)
