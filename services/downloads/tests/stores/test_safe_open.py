import ctypes
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from eddyline_downloads.stores import safe_open as cached
from eddyline_downloads.stores.safe_open import open_cached


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def follows_links_without_waiting(place: Path) -> bool:
    """Whether the file system there can: overlayfs cannot."""
    (place / "target").touch()
    (place / "link").symlink_to("target")
    how = ctypes.byref(cached._OpenHow(os.O_RDONLY | os.O_CLOEXEC, 0, cached._RESOLVE_CACHED))
    os.stat(place / "link")
    file = cached._openat2(cached._AT_FDCWD, os.fsencode(place / "link"), how)
    if file < 0:
        return False
    os.close(file)
    return True


@pytest.fixture
def place_for_links(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system that follows links without waiting, on disk or in memory."""
    if follows_links_without_waiting(tmp_path):
        yield tmp_path
        return
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        if not follows_links_without_waiting(Path(name)):
            pytest.skip("no file system here follows a link without waiting")
        yield Path(name)


@pytest.mark.parametrize(("path", "text"), [("a.txt", "a"), ("sub/deep/c.txt", "ccc")])
def test_opens_what_is_in_the_caches(folder: Path, path: str, text: str) -> None:
    assert_opens(folder, path, text)


def test_follows_a_link_within_the_folder(place_for_links: Path) -> None:
    (place_for_links / "sub").mkdir()
    (place_for_links / "sub" / "b.txt").write_text("bb")
    (place_for_links / "folder").symlink_to("sub")
    assert_opens(place_for_links, "folder/b.txt", "bb")


def assert_opens(folder: Path, path: str, text: str) -> None:
    (folder / path).read_text()
    before = descriptors()
    file = open_cached(folder, path)
    assert file is not None
    with os.fdopen(file) as opened:
        assert opened.read() == text
    assert descriptors() == before


@pytest.mark.parametrize(
    "path",
    [
        "nothing",
        "outside",
        "absolute",
        "absolute-inside",
        "parent/secret",
        "sub/far",
        "../secret",
        "loop",
        "device",
        "fifo",
        "sub",
        "a.txt/",
        "a.txt\0.pdf",
        "x" * 5000,
    ],
)
def test_leaves_everything_else_to_the_walk(folder: Path, path: str) -> None:
    before = descriptors()
    assert open_cached(folder, path) is None
    assert descriptors() == before


def test_a_folder_that_is_away_or_a_system_without_the_call(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_cached(folder / "away", "a.txt") is None
    monkeypatch.setattr(cached, "_syscall", None)
    assert open_cached(folder, "a.txt") is None
