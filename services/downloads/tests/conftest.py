import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from eddyline import testing
from eddyline.testing import Running, Stream, running
from eddyline_downloads.app import create_app
from eddyline_downloads.settings import DownloadsSettings


@pytest.fixture
async def fetch() -> AsyncIterator[Callable[..., Awaitable[Stream]]]:
    """`eddyline.testing.fetch`, with streams that are closed after the test."""
    opened: list[Stream] = []

    async def fetched(url: str, **options: Any) -> Stream:
        opened.append(await testing.fetch(url, **options))
        return opened[-1]

    yield fetched
    for stream in opened:
        await stream.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store, and beside it a secret that must not be reached from it."""
    (tmp_path / "secret").write_text("crown jewels")
    folder = tmp_path / "files"
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "sub" / "b.txt").write_text("bb")
    (folder / "sub" / "deep" / "c.txt").write_text("ccc")
    (folder / "empty").mkdir()
    (folder / ".git").mkdir()
    for name in (".env", ".git/config", "sub/.env"):
        (folder / name).write_text("crown jewels")
    links = {
        "inside": "sub/b.txt",
        "up-and-back": "sub/deep/../../a.txt",
        "folder": "sub",
        "outside": "../secret",
        "absolute": str(tmp_path / "secret"),
        "absolute-inside": str(folder / "a.txt"),
        "loop": "loop",
        "dangling": "nothing",
        "parent": "..",
        "sub/far": "../../secret",
        "device": "/dev/zero",
    }
    for name, target in links.items():
        (folder / name).symlink_to(target)
    os.mkfifo(folder / "fifo")
    return folder


Serve = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
def serve(folder: Path) -> Serve:
    @asynccontextmanager
    async def serving(
        server: dict[str, Any] | None = None, **settings: Any
    ) -> AsyncIterator[Running]:
        app = create_app(DownloadsSettings(**{"store": str(folder), **settings}))
        async with running(app, **(server or {})) as run:
            yield run
            await testing.eventually(lambda: app.state.context.limits.open == 0)

    return serving
