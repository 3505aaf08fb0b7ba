import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from eddyline import testing
from eddyline.testing import Running, Stream, running
from eddyline_records.app import create_app
from eddyline_records.settings import RecordsSettings
from eddyline_records.sources.sqlite.source import SqliteSource

Serve = Callable[..., AbstractAsyncContextManager[Running]]


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
def serve() -> Serve:
    @asynccontextmanager
    async def serving(
        options: dict[str, Any] | None = None, **settings: Any
    ) -> AsyncIterator[Running]:
        async with running(create_app(RecordsSettings(**settings)), **(options or {})) as run:
            yield run

    return serving


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., SqliteSource]:
    """A dataset `things` of the rows, with the table as declared."""

    def made(
        rows: Iterable[tuple[Any, ...]],
        declared: str = "id INTEGER PRIMARY KEY, name TEXT",
        key: str = "id",
    ) -> SqliteSource:
        path = tmp_path / "things.db"
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(f"CREATE TABLE things ({declared})")
            connection.executemany("INSERT INTO things VALUES (?, ?)", rows)
        return SqliteSource("things", path, "things", (key,))

    return made


def setting(dataset: SqliteSource) -> str:
    return f"{dataset.name}=sqlite:///{dataset.path}?table={dataset.table}&key={dataset.key[0]}"


@pytest.fixture
def configured() -> Callable[[SqliteSource], str]:
    return setting
