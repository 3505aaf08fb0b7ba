"""Protocols beside the hub's own API: one line of `app.py` and a room each, and both can go."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from eddyline.testing import fetch, running
from eddyline_events import app
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
