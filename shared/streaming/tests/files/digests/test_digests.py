"""Digests of versions: right, computed once, and kept for other processes."""

import asyncio
import hashlib
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from eddyline.errors import StreamingError
from eddyline.files.digests import digests as module
from eddyline.files.digests.digest_file import DigestFile
from eddyline.files.digests.digests import Digests
from eddyline.files.reading import sha256_of
from eddyline.files.version import FileVersion
from eddyline.testing import eventually

CONTENT = os.urandom(3_000_000)
SHA256 = hashlib.sha256(CONTENT).digest()


def later() -> float:
    """Files that a test has just written are old ones."""
    return time.time() + 3600


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def digests() -> Iterator[Digests]:
    digests = Digests()
    yield digests
    digests.close()


async def ask(digests: Digests, path: Path, now: float | None = None, **how: Any) -> FileVersion:
    """The version that a response would tell."""
    with path.open("rb") as file:
        version = FileVersion.from_status(os.fstat(file.fileno()))
        await digests.find(file.fileno(), version, later() if now is None else now, **how)
    return digests.known(version)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of files whose digest was computed."""
    sizes: list[int] = []

    def counting(file: int, size: int, *more: Any) -> bytes | None:
        sizes.append(size)
        return sha256_of(file, size, *more)

    monkeypatch.setattr(module, "sha256_of", counting)
    return sizes


async def test_the_first_request_waits_for_the_digest_and_the_next_has_it(
    digests: Digests, path: Path, hashed: list[int]
) -> None:
    answers = await asyncio.gather(*(ask(digests, path) for _ in range(5)))
    answers.append(await ask(digests, path))
    assert {answer.sha256 for answer in answers} == {SHA256}
    assert hashed.count(len(CONTENT)) == 1


async def test_copies_have_one_tag_and_another_content_another(
    digests: Digests, path: Path, tmp_path: Path
) -> None:
    """RFC 9110 §8.8.3: the tag is that of the bytes, on each replica."""
    copy = tmp_path / "copy"
    shutil.copy(path, copy)
    os.utime(copy, (1, 1))
    one, other = await ask(digests, path), await ask(digests, copy)
    assert one.identity != other.identity
    assert one.etag(later()) == other.etag(later())
    copy.write_bytes(CONTENT[:-1] + b"\0")
    assert (await ask(digests, copy)).etag(later()) != one.etag(later())


async def test_a_file_that_was_just_written_has_no_digest_yet(
    digests: Digests, path: Path, hashed: list[int]
) -> None:
    """Another write may have the same time: the facts name no version."""
    assert (await ask(digests, path, path.stat().st_ctime + 1)).sha256 is None
    assert len(CONTENT) not in hashed
    assert (await ask(digests, path, path.stat().st_ctime + 3)).sha256 == SHA256


async def test_a_file_that_is_written_to_while_it_is_read_has_none(
    digests: Digests, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_and_write(file: int, size: int, *more: Any) -> bytes | None:
        digest = sha256_of(file, size, *more)
        status = path.stat()
        with path.open("r+b") as written:
            written.write(b"new")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        return digest

    monkeypatch.setattr(module, "sha256_of", read_and_write)
    version = await ask(digests, path)
    assert version.sha256 is None
    assert version not in digests


async def test_a_file_that_cannot_be_read_has_none(
    digests: Digests, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(module, "sha256_of", broken)
    assert (await ask(digests, path)).sha256 is None
    monkeypatch.undo()
    assert (await ask(digests, path)).sha256 == SHA256


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """No digest is ready before the gate is opened."""
    opened = threading.Event()

    def waiting(file: int, size: int, *more: Any) -> bytes | None:
        opened.wait(20)
        return sha256_of(file, size, *more)

    monkeypatch.setattr(module, "sha256_of", waiting)
    yield opened.set
    opened.set()


async def test_a_large_file_is_sent_at_once_and_keeps_the_tag_that_was_told(
    digests: Digests, path: Path, gate: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """DuckDB and nginx's `slice` take a part with another tag for one of another file."""
    monkeypatch.setattr(module, "SOON", 1)
    now = later()
    first = await ask(digests, path)
    assert (first.sha256, digests.waiting) == (None, 1)
    gate()
    await eventually(lambda: first in digests)
    again = digests.known(first)
    assert again.sha256 == SHA256
    assert again.etag(now) == first.etag(now)
    assert len(again.tags(now)) == 2
    clock = time.monotonic
    monkeypatch.setattr(module, "monotonic", lambda: clock() + module.QUIET + 1)
    assert digests.known(first).etag(now).startswith('"sha256-')


async def test_a_request_that_depends_on_the_digest_waits_for_a_large_file_too(
    digests: Digests, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SOON", 1)
    assert (await ask(digests, path, needed=True)).sha256 == SHA256


async def test_a_part_of_a_large_file_is_not_worth_its_digest(
    digests: Digests, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await ask(digests, path, whole=False)).sha256 == SHA256
    monkeypatch.setattr(module, "SOON", 1)
    path.touch()
    assert (await ask(digests, path, whole=False)).sha256 is None
    assert digests.waiting == 0


async def test_a_slow_disk_costs_its_request_a_moment(
    digests: Digests, path: Path, gate: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT", 0.01)
    assert (await ask(digests, path)).sha256 is None


async def test_only_so_many_files_wait_open(
    digests: Digests, path: Path, gate: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SOON", 1)
    monkeypatch.setattr(module, "WAITING", 2)
    for n in range(4):
        other = path.with_name(f"{n}")
        other.write_bytes(b"xx")
        await ask(digests, other)
    assert digests.waiting == 2
    gate()
    await eventually(lambda: digests.waiting == 0)


async def test_an_end_does_not_wait_for_a_large_file(path: Path) -> None:
    digests = Digests()
    digests.close()
    assert (await ask(digests, path)).sha256 is None


async def test_digests_outlive_the_process(path: Path, tmp_path: Path, hashed: list[int]) -> None:
    kept = tmp_path / "kept" / "digests.sqlite"
    for _ in range(3):
        with closing(Digests(DigestFile(kept))) as digests:
            assert (await ask(digests, path)).sha256 == SHA256
        with closing(Digests(DigestFile(kept))) as digests:
            version = FileVersion.from_status(path.stat())
            assert (await digests.recall([version]))[0].sha256 == SHA256
    assert hashed.count(len(CONTENT)) == 1
    with path.open("ab") as file:
        file.write(b"more")
    with closing(Digests(DigestFile(kept))) as digests:
        assert (await ask(digests, path)).sha256 == hashlib.sha256(CONTENT + b"more").digest()
    assert hashed.count(len(CONTENT) + 4) == 1


async def test_a_file_of_digests_that_fails_costs_time_alone(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = DigestFile(tmp_path / "digests.sqlite")
    kept.close()
    assert (await ask(Digests(kept), path)).sha256 == SHA256
    assert "the file of digests fails" in caplog.text


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "digests.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 2")
    other.close()
    with pytest.raises(StreamingError, match=r"has the format 2: this version reads 1"):
        DigestFile(path)
    path.write_bytes(b"a text" * 1000)
    with pytest.raises(StreamingError, match=r"digests cannot be kept in .*not a database"):
        DigestFile(path)
