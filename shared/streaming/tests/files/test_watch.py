"""Changes of a file between two looks at it, and whether the bytes of one version are left."""

import os
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from eddyline.files.watch import BLOCK, SAMPLES, FileChanged, FileWatch

SIZE = SAMPLES * BLOCK * 4


@pytest.fixture(params=[100, SIZE])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(request.param))
    os.utime(path, (1_600_000_000, 1_600_000_000))
    return path


@pytest.fixture
def watch(path: Path) -> Iterator[FileWatch]:
    with path.open("rb", buffering=0) as file:
        watch = FileWatch(file.fileno())
        watch.begin()
        yield watch


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(os.urandom(path.stat().st_size))
    other.replace(path)


def write(path: Path, content: bytes) -> None:
    with path.open("r+b") as file:
        file.write(content)


def keep_time(change: Callable[[Path], object]) -> Callable[[Path], None]:
    def changed(path: Path) -> None:
        status = path.stat()
        change(path)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    return changed


def rewrite(path: Path) -> None:
    write(path, os.urandom(path.stat().st_size))


@pytest.mark.parametrize(
    "change",
    [
        lambda path: None,
        append,
        keep_time(append),
        replace,
        lambda path: path.chmod(0o600),
        lambda path: path.with_name("another").hardlink_to(path),
        lambda path: path.unlink(),
    ],
    ids=["nothing", "append", "append -t", "replace", "chmod", "link", "unlink"],
)
def test_a_change_that_leaves_the_bytes_is_forgiven_again_and_again(watch, path, change) -> None:
    change(path)
    watch.glance()
    watch.check()
    watch.check()


def test_a_file_that_grew_may_grow_again(watch, path) -> None:
    for _ in range(3):
        append(path)
        watch.check()
    rewrite(path)
    with pytest.raises(FileChanged):
        watch.check()


@pytest.mark.parametrize(
    "change",
    [
        rewrite,
        keep_time(rewrite),
        keep_time(lambda path: write(path, b"x")),
        lambda path: os.truncate(path, 1),
        lambda path: (os.truncate(path, 1), os.truncate(path, SIZE * 2)),
        lambda path: path.write_bytes(os.urandom(SIZE * 2)),
        lambda path: (rewrite(path), append(path)),
        os.utime,
    ],
    ids=["rewrite", "cp -p", "a byte", "truncate", "zeros", "cp", "both", "touch"],
)
def test_any_other_change_is_not(watch, path, change) -> None:
    change(path)
    with pytest.raises(FileChanged, match="the file was written to"):
        watch.check()


def test_a_write_that_a_look_need_not_read_for_is_seen_at_a_glance(watch, path) -> None:
    keep_time(rewrite)(path)
    with pytest.raises(FileChanged):
        watch.glance()


def test_the_version_is_that_of_the_samples(path) -> None:
    with path.open("rb", buffering=0) as file:
        watch = FileWatch(file.fileno())
        rewrite(path)
        append(path)
        watch.begin()
        assert watch.version.size == path.stat().st_size
        watch.check()


@pytest.mark.parametrize("grows", [append, lambda path: path.chmod(0o600)])
def test_the_digest_finds_a_write_that_the_samples_miss(path: Path, grows) -> None:
    content = path.read_bytes()
    with path.open("rb", buffering=0) as file:
        watch = FileWatch(file.fileno())
        assert watch.begin_at_once() or watch.begin() is None
        grows(path)
        watch.check()
        watch.check(sha256(content).digest())
        with path.open("r+b") as written:
            written.seek(BLOCK + 1 if len(content) == SIZE else 1)
            written.write(b"x")
        keep_time(grows)(path)
        with pytest.raises(FileChanged):
            watch.check(sha256(content).digest())


def test_without_samples_nothing_is_forgiven(path, monkeypatch) -> None:
    """A file that is written to without a pause has no version that could be sampled."""
    with path.open("rb", buffering=0) as file:
        watch = FileWatch(file.fileno())
        pread = os.pread

        def busy(*given: int) -> bytes:
            append(path)
            return pread(*given)

        monkeypatch.setattr(os, "pread", busy)
        watch.begin()
        monkeypatch.undo()
        with pytest.raises(FileChanged):
            watch.check()
