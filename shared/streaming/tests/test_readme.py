"""Every block of code in the library's README runs, as the text around it says."""

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from eddyline import Hub
from eddyline.testing import RedisServer, eventually, fetch

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README.read_text(), flags=re.DOTALL | re.MULTILINE)
PYTHON = [code for language, code in BLOCKS if language == "python"]
#: Commands of the shell blocks, without their comments.
SHELL = [line for language, code in BLOCKS if language == "sh" for line in code.splitlines()]

#: By a line that only one block has: the check of the block.
CHECKS: dict[str, Callable[..., Awaitable[None]]] = {}


def of_block(line: str) -> Callable[[Callable[..., Awaitable[None]]], Any]:
    def register(check: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        CHECKS[line] = check
        return check

    return register


@pytest.mark.parametrize("code", PYTHON, ids=lambda code: code.strip().splitlines()[-1][:40])
async def test_a_block_of_python_does_what_it_says(code, serve, tmp_path, monkeypatch):
    [check] = [check for line, check in CHECKS.items() if line in code]
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "main"}
    exec(compile(code, "README.md", "exec"), names)
    await check(names, serve, monkeypatch)


def test_the_five_lines_are_five():
    [code] = [code for code in PYTHON if "# anywhere:" in code]
    assert len([line for line in code.splitlines() if not line.startswith(("from", "#"))]) == 4


@of_block("# anywhere:")
async def five_lines(names: dict[str, Any], serve: Any, _: Any) -> None:
    async with serve(names["app"]) as (url, _):
        stream = await fetch(f"{url}/events")
        await stream.read()
        id = await names["hub"].publish("orders", {"id": 7})
        event = await stream.event()
        assert event is not None
        assert (event.id, json.loads(event.data)) == (id, {"id": 7})
        await by_curl(url, names["hub"], id)


async def by_curl(url: str, hub: Hub, last: str) -> None:
    """The commands of the README that ask for events, sent to this server."""
    if shutil.which("curl") is None:
        pytest.skip("curl is missing: apt-get install curl")
    commands = [line for line in SHELL if line.startswith("curl")]
    assert len(commands) == 3
    missed = await hub.publish("orders", "missed")
    for command in commands:
        here = command.replace("http://127.0.0.1:8000", url).replace("4f1d09c2.17", last)
        asking = await asyncio.create_subprocess_shell(f"exec {here}", stdout=-1, stderr=-1)
        assert asking.stdout is not None
        resumes = here != commands[0].replace("http://127.0.0.1:8000", url)
        assert await asking.stdout.readuntil(b"\n\n")
        if resumes:
            assert (
                f"id: {missed}\ndata: missed" in (await asking.stdout.readuntil(b"\n\n")).decode()
            )
        asking.kill()
        await asking.communicate()


@of_block("async with hub.lifespan(app):")
async def own_lifespan(names: dict[str, Any], serve: Any, _: Any) -> None:
    async with serve(names["app"]):
        assert await names["hub"].publish("orders", 1)


@of_block('"redis://127.0.0.1:6379/0"')
async def redis(_: Any, __: Any, ___: Any) -> None:
    [code] = [code for code in PYTHON if '"redis://127.0.0.1:6379/0"' in code]
    with RedisServer(Path()) as server:
        here: dict[str, Any] = {}
        exec(code.replace("redis://127.0.0.1:6379/0", server.url), here)
        other: dict[str, Any] = {}
        exec(code.replace("redis://127.0.0.1:6379/0", server.url), other)
        async with here["hub"].lifespan(), other["hub"].lifespan():
            await eventually(lambda: here["hub"]._running.broadcast.synced)
            await eventually(lambda: other["hub"]._running.broadcast.synced)
            id = await here["hub"].publish("orders", 1)
            await eventually(lambda: str(other["hub"]._running.broadcast.head) == id)


@of_block("hub.produce(")
async def produced(names: dict[str, Any], serve: Any, _: Any) -> None:
    words = ["to", "each", "client", "the", "same", "words"]
    async with serve(names["app"]) as (url, _):
        cut = await fetch(f"{url}/answers/7")
        first = await cut.event()
        assert first is not None
        await cut.close()
        rest = await fetch(f"{url}/answers/7", headers={"Last-Event-ID": first.id})
        *events, end = await rest.events()
        assert [first.data, *(event.data for event in events)] == words
        assert end.event == "eddyline.end"


@of_block('FileResponse("film.mp4")')
async def responses(names: dict[str, Any], serve: Any, _: Any) -> None:
    film = os.urandom(2_000_000)
    Path("film.mp4").write_bytes(film)
    async with serve(names["app"]) as (url, _):
        part = await fetch(f"{url}/film", headers={"Range": "bytes=1000-"})
        assert (part.status, await part.body()) == (206, film[1000:])
        squares = await fetch(f"{url}/squares.csv")
        assert squares.headers["content-type"].startswith("text/csv")
        lines = (await squares.body()).splitlines()
        assert (len(lines), lines[-1]) == (1_000_000, b"999999,999998000001")
        numbers = await fetch(f"{url}/numbers")
        lines = (await numbers.body()).splitlines()
        assert (len(lines), json.loads(lines[-1])) == (1_000_000, {"n": 999_999})


@of_block("async for event in events:")
async def client(names: dict[str, Any], serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    five: dict[str, Any] = {}
    exec(next(code for code in PYTHON if "# anywhere:" in code), five)
    printed: list[tuple[str, str]] = []
    names["print"] = lambda *values: printed.append(values)
    async with serve(five["app"]) as (url, _):
        listening = asyncio.create_task(names["listen"](f"{url}/events"))
        await eventually(lambda: five["hub"]._running.broadcast.subscribers)
        id = await five["hub"].publish("orders", "text")
        await eventually(lambda: printed == [(id, "text")])
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


@of_block("StreamMetrics(")
async def measures(names: dict[str, Any], serve: Any, _: Any) -> None:
    hub: Hub = names["hub"]
    labels = {"service": "shop", "kind": "broadcast"}
    assert REGISTRY.get_sample_value("eddyline_streams_open", labels) == 0
    async with hub.lifespan():
        await hub.publish("orders", 1)


def test_every_command_is_one_that_a_test_runs():
    """Those of servers and installs are run in an environment of their own (test_library_alone)."""
    known = (
        *("pip install eddyline fastapi uvicorn", "uvicorn main:app"),
        *(f'pip install "eddyline[{extra}]"' for extra in ("server", "redis", "client")),
        "uvicorn main:app --http eddyline.server.protocol:StreamProtocol",
    )
    assert [line for line in SHELL if line not in known and not line.startswith("curl ")] == []


def test_every_extra_is_named_that_there_is():
    done = subprocess.run(
        ["grep", "-E", "^[a-z]+ = \\[", README.with_name("pyproject.toml")],
        capture_output=True,
        text=True,
        check=True,
    )
    extras = {line.split(" ")[0] for line in done.stdout.splitlines()}
    rows = set(re.findall(r"^\| `(\w+)` \|", README.read_text(), flags=re.MULTILINE))
    assert rows == extras - {"keywords", "classifiers", "dependencies", "requires"}
