"""A file is replaced under those that download it: each gets one version, or knows that it has not.

RFC 9110 §8.8.1, §15.3.7.3: bytes of two versions are never joined.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from mmap import mmap
from pathlib import Path

import pytest

from eddyline.testing import Running, Stream, fetch
from eddyline.testing.server import running
from eddyline_downloads.app import create_app
from eddyline_downloads.settings import DownloadsSettings

#: More than kernel and transport take for a client that does not read.
SIZE = 12 * 1024 * 1024
CLIENTS = 8
ONE, OTHER = b"A" * SIZE, b"B" * SIZE


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(ONE)
    return path


@pytest.fixture
async def run(path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    clock = time.time
    monkeypatch.setattr("eddyline.responses.file.time", lambda: clock() + 3600)
    async with running(create_app(DownloadsSettings(store=str(path.parent)))) as run:
        yield run


def written_beside(path: Path) -> Path:
    other = path.with_name("other")
    other.write_bytes(OTHER)
    return other


def keep_times(path: Path, change: Callable[[Path], object]) -> None:
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    change(path)
    os.utime(path, ns=times)


def write(path: Path, content: bytes, at: int = 0) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def write_by_mmap(path: Path) -> None:
    with path.open("r+b") as file, mmap(file.fileno(), 0) as memory:
        memory[SIZE // 2 :] = OTHER[SIZE // 2 :]


def rename(path: Path) -> None:
    written_beside(path).replace(path)


def rename_with_the_same_times(path: Path) -> None:
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    other = written_beside(path)
    os.utime(other, ns=times)
    other.replace(path)


def give_another_name(path: Path) -> None:
    path.with_name("old").hardlink_to(path)


def remove_and_write(path: Path) -> None:
    path.unlink()
    path.write_bytes(OTHER)


def truncate_and_write_more(path: Path) -> None:
    path.write_bytes(OTHER + OTHER)


#: These leave the open file, or the bytes of its version, as they were.
REPLACED = [rename, rename_with_the_same_times, remove_and_write]
HARMLESS = [*REPLACED, give_another_name, append]


def write_in_place(path: Path) -> None:
    write(path, OTHER)


def write_in_place_with_the_same_times(path: Path) -> None:
    keep_times(path, write_in_place)


def truncate(path: Path) -> None:
    os.truncate(path, SIZE - 1)


def write_between_the_samples_and_append(path: Path) -> None:
    write(path, b"B", SIZE - 100_000)
    append(path)


HARMFUL = [
    write_in_place,
    write_in_place_with_the_same_times,
    write_by_mmap,
    truncate,
    truncate_and_write_more,
    write_between_the_samples_and_append,
]


async def started(run: Running) -> list[Stream]:
    url = f"{run.url}/download/file"
    streams = [await fetch(url, receive_buffer=65536) for _ in range(CLIENTS)]
    for stream in streams:
        assert (stream.status, (await stream.read())[:1]) == (200, b"A")
    return streams


async def rest(stream: Stream) -> set[int]:
    """The bytes that there are in the rest of the body."""
    found: set[int] = set()
    async with stream:
        while data := await stream.read():
            found.update(data)
    return found


@pytest.mark.parametrize("change", HARMLESS)
async def test_a_change_that_leaves_the_version_as_it_was_is_not_noticed(
    run: Running, path: Path, change: Callable[[Path], None]
) -> None:
    streams = await started(run)
    change(path)
    assert await asyncio.gather(*map(rest, streams)) == [{ord("A")}] * CLIENTS
    assert all(stream.clean for stream in streams)


@pytest.mark.parametrize("change", HARMFUL)
async def test_no_client_ends_clean_with_bytes_of_two_versions(
    run: Running, path: Path, change: Callable[[Path], None]
) -> None:
    streams = await started(run)
    change(path)
    await asyncio.gather(*map(rest, streams))
    assert not any(stream.clean for stream in streams)


@pytest.fixture
def mapped(path: Path) -> Iterator[mmap]:
    with path.open("r+b") as file, mmap(file.fileno(), 0) as memory:
        yield memory


async def test_a_write_to_a_page_that_was_mapped_and_written_before_is_seen(
    run: Running, path: Path, mapped: mmap
) -> None:
    """Such a write moves no time until the page is written back: the digest sees to that."""
    mapped[SIZE // 2 :] = ONE[SIZE // 2 :]
    streams = await started(run)
    before = path.stat().st_ctime_ns
    mapped[SIZE // 2 :] = OTHER[SIZE // 2 :]
    if path.stat().st_ctime_ns == before:
        await asyncio.gather(*(stream.close() for stream in streams))
        pytest.skip(f"{path.parent} tells of no write by mmap: give --basetemp on ext4 or xfs")
    await asyncio.gather(*map(rest, streams))
    assert not any(stream.clean for stream in streams)


@pytest.mark.parametrize(("condition", "status"), [("If-Range", 200), ("If-Match", 412)])
async def test_a_client_that_resumes_never_joins_two_versions(
    run: Running, path: Path, condition: str, status: int
) -> None:
    for change in (*REPLACED, *HARMFUL):
        path.write_bytes(ONE)
        async with await fetch(f"{run.url}/download/file", method="HEAD") as first:
            tag = first.headers["etag"]
        change(path)
        headers = {"Range": f"bytes={SIZE // 2}-", condition: tag}
        async with await fetch(f"{run.url}/download/file", headers=headers) as again:
            assert (again.status, again.headers["etag"] != tag) == (status, True), change.__name__
