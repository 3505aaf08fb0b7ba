"""Downloads by the Python client: the file is whole and of one version, or it is not there."""

import asyncio
import base64
import hashlib
import os
import random
from pathlib import Path

import pytest

from eddyline.client import (
    AsyncClient,
    DigestMismatch,
    Downloaded,
    Progress,
    Refused,
    StateFileError,
)
from eddyline.client.files import part
from eddyline.testing import FaultProxy, Running, serving

SIZE = 3_000_000


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "PIECE", 200_000)


@pytest.fixture
def data(folder: Path) -> bytes:
    made = random.Random(1).randbytes(SIZE)
    (folder / "big.bin").write_bytes(made)
    return made


@pytest.fixture
def aged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was written just now has a strong ETag at once (RFC 9110 section 8.8.1)."""
    monkeypatch.setattr("eddyline.files.version.TICK", -1.0)


async def test_a_file_arrives_by_several_ranges(
    files: Running, data: bytes, tmp_path: Path, aged: None
) -> None:
    told: list[Progress] = []
    target = tmp_path / "got.bin"
    async with AsyncClient(files.url) as client:
        done = await client.download("big.bin", target, connections=4, progress=told.append)
        assert [file["path"] async for file in client.files()] == ["big.bin"]
    assert target.read_bytes() == data
    assert (done.size, done.resumed) == (SIZE, 0)
    assert done.etag is not None
    assert told[0].done == 0
    assert told[-1] == Progress(SIZE, SIZE)
    assert [path.name for path in tmp_path.iterdir() if "got" in path.name] == ["got.bin"]


async def test_it_is_whole_though_it_is_stopped_again_and_again(
    files: Running, data: bytes, tmp_path: Path, aged: None
) -> None:
    target = tmp_path / "got.bin"
    stops = 0
    async with AsyncClient(files.url) as client:
        while (done := await stopped_after(client, target, random.randrange(600_000))) is None:
            stops += 1
            assert not target.exists()
    assert stops > 2
    assert done.resumed > 0
    assert target.read_bytes() == data


async def stopped_after(
    client: AsyncClient, target: Path, count: int, connections: int = 4
) -> Downloaded | None:
    """The download, or None where it was cancelled after about `count` bytes of its own."""
    stopped = asyncio.Event()
    first: list[int] = []

    def tell(progress: Progress) -> None:
        first.append(progress.done)
        if progress.done - first[0] > count:
            stopped.set()

    task = asyncio.create_task(
        client.download("big.bin", target, connections=connections, progress=tell)
    )
    waiting = asyncio.create_task(stopped.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    for each in (waiting, task):
        each.cancel()
    await asyncio.wait({task})
    return None if task.cancelled() else task.result()


async def test_cut_connections_are_gone_on_after_the_last_byte(
    files: Running, data: bytes, tmp_path: Path, aged: None
) -> None:
    async with FaultProxy(files.port) as proxy, AsyncClient(proxy.url) as client:
        proxy.cut_after = 50_000
        done = await client.download("big.bin", tmp_path / "got.bin", connections=3)
    assert done.path.read_bytes() == data


async def test_another_version_is_begun_anew_and_never_joined(
    files: Running, data: bytes, folder: Path, tmp_path: Path, aged: None
) -> None:
    target = tmp_path / "got.bin"
    other = random.Random(2).randbytes(SIZE)
    versions: set[int] = set()

    def tell(progress: Progress) -> None:
        versions.add(progress.version)
        if progress.done > SIZE // 2 and progress.version == 1 and 2 not in versions:
            (folder / "new").write_bytes(other)
            os.replace(folder / "new", folder / "big.bin")
            versions.add(2)

    async with AsyncClient(files.url) as client:
        done = await client.download("big.bin", target, connections=2, progress=tell)
    assert done.path.read_bytes() == other


async def test_a_part_of_another_version_is_not_taken_up(
    files: Running, data: bytes, folder: Path, tmp_path: Path, aged: None
) -> None:
    target = tmp_path / "got.bin"
    async with AsyncClient(files.url) as client:
        assert await stopped_after(client, target, SIZE // 2, connections=1) is None
        assert (tmp_path / "got.bin.part.json").exists()
        other = random.Random(3).randbytes(SIZE)
        (folder / "new").write_bytes(other)
        os.replace(folder / "new", folder / "big.bin")
        done = await client.download("big.bin", target)
    assert done.resumed == 0
    assert target.read_bytes() == other


async def test_a_digest_that_differs_leaves_no_file(
    files: Running, data: bytes, tmp_path: Path, aged: None
) -> None:
    target = tmp_path / "got.bin"
    async with AsyncClient(files.url) as client:
        right = hashlib.sha256(data).hexdigest()
        done = await client.download("big.bin", target, sha256=right.upper())
        assert done.sha256 == right.upper()
        target.unlink()
        with pytest.raises(DigestMismatch, match=right):
            await client.download("big.bin", target, sha256="0" * 64)
    assert not [path for path in tmp_path.iterdir() if "got" in path.name]


@pytest.mark.parametrize("flips", [False, True])
async def test_the_digest_of_the_server_is_checked(tmp_path: Path, flips: bool) -> None:
    """RFC 9530 section 3: `Repr-Digest` is that of the whole file."""
    body = b"some bytes"
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        sent = body[:-1] + b"!" if flips else body
        writer.write(
            f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
            f"Repr-Digest: sha-256=:{digest}:\r\n\r\n".encode()
            + (b"" if head.startswith(b"HEAD") else sent)
        )
        await writer.drain()
        writer.close()

    target = tmp_path / "got"
    async with serving(answer) as port, AsyncClient(f"http://127.0.0.1:{port}") as client:
        if flips:
            with pytest.raises(DigestMismatch):
                await client.download("x", target)
            assert not target.exists()
        else:
            done = await client.download("x", target)
            assert done.sha256 == hashlib.sha256(body).hexdigest()


async def test_an_empty_file_and_names_with_signs(
    files: Running, folder: Path, tmp_path: Path
) -> None:
    name = "a b/ü %3F#.txt"
    (folder / "a b").mkdir()
    (folder / name).write_bytes(b"")
    async with AsyncClient(files.url) as client:
        done = await client.download(name, tmp_path / "got")
    assert done.size == 0
    assert done.path.read_bytes() == b""


async def test_no_file_is_a_refusal_and_leaves_nothing(files: Running, tmp_path: Path) -> None:
    async with AsyncClient(files.url) as client:
        with pytest.raises(Refused) as refused:
            await client.download("none", tmp_path / "got")
    assert refused.value.status == 404
    assert not [path for path in tmp_path.iterdir() if "got" in path.name]


async def test_two_downloads_to_one_file_are_refused(
    files: Running, data: bytes, tmp_path: Path, aged: None
) -> None:
    target = tmp_path / "got.bin"
    async with AsyncClient(files.url) as client:
        results = await asyncio.gather(
            *(client.download("big.bin", target) for _ in range(2)), return_exceptions=True
        )
    assert [type(each) for each in results if isinstance(each, BaseException)] == [StateFileError]
    assert target.read_bytes() == data


async def test_a_file_without_a_strong_validator_is_read_whole(
    files: Running, data: bytes, tmp_path: Path
) -> None:
    """It was written just now: its ETag is weak, and no part of it could be resumed."""
    async with AsyncClient(files.url) as client:
        done = await client.download("big.bin", tmp_path / "got.bin")
    assert done.path.read_bytes() == data
