"""Protocols beside the hub's own API: one line of `app.py` and a room each, and both can go."""

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest
from fastapi import APIRouter, Request, Response

from eddyline.service.raw_route import RawRoute
from eddyline.testing import fetch, running
from eddyline_events import app
from eddyline_events.hub.hub import Hub
from eddyline_events.settings import EventsSettings

ROOM = "mercure"
PATH = "/.well-known/mercure"

#: Is run by a process of its own, where nobody has imported the whole package yet.
PUBLISH_AND_SUBSCRIBE = """
import asyncio, sys
sys.modules["urlpattern"] = None  # importing it fails
from eddyline.testing import fetch, running
from eddyline_events.app import create_app
from eddyline_events.settings import EventsSettings

async def main():
    async with running(create_app(EventsSettings())) as hub:
        subscriber = await fetch(hub.url + "/events?topic=a")
        assert "link" not in subscriber.headers
        assert list(subscriber.parser.feed(await subscriber.read())) == []
        body = b'{"topic": "a", "data": "hello"}'
        async with await fetch(hub.url + "/events", method="POST", body=body) as answer:
            assert answer.status == 201
        print((await subscriber.event()).data)
        async with await fetch(hub.url + "/.well-known/mercure?topic=a") as answer:
            print(answer.status)

asyncio.run(main())
"""


async def test_a_stream_of_the_hubs_own_api_names_the_extension() -> None:
    async with running(app.create_app(EventsSettings())) as hub:
        async with await fetch(hub.url + "/events?poll=1&timeout=0") as answer:
            assert answer.headers["link"] == f'<{PATH}>; rel="mercure"'


def test_without_its_room_and_its_line_the_service_works(tmp_path: Path) -> None:
    package = tmp_path / "eddyline_events"
    shutil.copytree(Path(app.__file__).parent, package, ignore=shutil.ignore_patterns(ROOM))
    assert not (package / ROOM).exists()
    lines = (package / "app.py").read_text().splitlines(keepends=True)
    left = [line for line in lines if ROOM not in line]
    assert len(lines) - len(left) == 1
    (package / "app.py").write_text("".join(left))
    done = subprocess.run(
        [sys.executable, "-c", PUBLISH_AND_SUBSCRIBE],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["hello", "404"]


class Stub:
    """The least that an `Extension` is."""

    link = '<https://stub.example/>; rel="stub"'
    steps: ClassVar[list[str]] = []

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def routes(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route("/stub", self.head, route_class_override=RawRoute)
        return router

    async def head(self, request: Request) -> Response:
        return Response(str(self._hub.broadcast.head))

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        self.steps.append("begun")
        yield
        self.steps.append("over")


async def test_one_line_adds_a_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("stub")
    monkeypatch.setitem(sys.modules, "stub", module)
    monkeypatch.setattr(module, "Stub", Stub, raising=False)
    monkeypatch.setattr(app, "EXTENSIONS", [*app.EXTENSIONS, "stub:Stub"])
    async with running(app.create_app(EventsSettings())) as hub:
        assert Stub.steps == ["begun"]
        async with await fetch(hub.url + "/stub") as answer:
            assert b"." in await answer.body()
        async with await fetch(hub.url + "/events?poll=1&timeout=0") as answer:
            assert answer.headers["link"] == f'<{PATH}>; rel="mercure", {Stub.link}'
    assert Stub.steps == ["begun", "over"]
