"""The Python client beside real services, which run in the test's own event loop."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eddyline.client import AsyncClient
from eddyline.testing import FaultProxy, Running, running
from eddyline_chat.app import create_app as create_chat
from eddyline_chat.settings import ChatSettings
from eddyline_downloads.app import create_app as create_downloads
from eddyline_downloads.settings import DownloadsSettings
from eddyline_events.app import create_app as create_events
from eddyline_events.settings import EventsSettings
from eddyline_logs.app import create_app as create_logs
from eddyline_logs.settings import LogsSettings


@pytest.fixture
async def hub() -> AsyncIterator[Running]:
    async with running(create_events(EventsSettings())) as started:
        yield started


@pytest.fixture
async def proxy(hub: Running) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(hub.port) as started:
        yield started


@pytest.fixture
async def client(hub: Running) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(hub.url) as made:
        yield made


@pytest.fixture
async def behind_proxy(proxy: FaultProxy) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(proxy.url) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "served").mkdir()
    return tmp_path / "served"


@pytest.fixture
async def files(folder: Path) -> AsyncIterator[Running]:
    async with running(create_downloads(DownloadsSettings(store=str(folder)))) as started:
        yield started


@pytest.fixture
async def logs(folder: Path) -> AsyncIterator[Running]:
    settings = LogsSettings(sources=f"app.log={folder / 'app.log'}")
    async with running(create_logs(settings)) as started:
        yield started


@pytest.fixture
async def chat() -> AsyncIterator[Running]:
    async with running(create_chat(ChatSettings())) as started:
        yield started
