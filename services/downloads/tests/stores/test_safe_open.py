import ctypes
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from eddyline_downloads.stores import safe_open
from eddyline_downloads.stores.safe_open import MAX_LINKS, open_beneath, open_nonblocking


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def follows_links_without_waiting(place: Path) -> bool:
    """Whether the file system there can: overlayfs cannot."""
    (place / "target").touch()
    (place / "link").symlink_to("target")
    how = ctypes.byref(safe_open._OpenHow(os.O_RDONLY | os.O_CLOEXEC, 0, safe_open._RESOLVE_CACHED))
    os.stat(place / "link")
    file = safe_open._openat2(safe_open._AT_FDCWD, os.fsencode(place / "link"), how)
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
            pytest.skip("no folder follows a link without waiting: needs Linux 5.12, ext4 or tmpfs")
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
    # The kernel also declines where another process renames a file at the same moment.
    tries = (open_nonblocking(folder, path) for _ in range(100))
    file = next((found for found in tries if found is not None), None)
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
    assert open_nonblocking(folder, path) is None
    assert descriptors() == before


def test_a_folder_that_is_away_or_a_system_without_the_call(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_nonblocking(folder / "away", "a.txt") is None
    monkeypatch.setattr(safe_open, "_syscall", None)
    assert open_nonblocking(folder, "a.txt") is None


def content(folder: Path, path: str) -> str:
    with os.fdopen(open_beneath(folder, path)) as file:
        return file.read()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.txt", "a"),
        ("sub/b.txt", "bb"),
        ("sub/deep/c.txt", "ccc"),
        ("inside", "bb"),
        ("up-and-back", "a"),
        ("folder/b.txt", "bb"),
        ("folder/deep/c.txt", "ccc"),
    ],
)
def test_opens_files_and_follows_links_that_stay(folder: Path, path: str, text: str) -> None:
    assert content(folder, path) == text


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "..",
        "../secret",
        "sub/../../secret",
        "folder/../../secret",
        "outside",
        "absolute",
        "absolute-inside",
        "loop",
        "dangling",
        "parent/secret",
        "sub/far",
        "folder/far",
        "device",
        "fifo",
        "sub",
        "empty",
        "a.txt/",
        "a.txt/b",
        "nothing",
        "x" * 300,
        "/etc/passwd/..",
    ],
)
def test_the_walk_opens_nothing_else(folder: Path, path: str) -> None:
    before = descriptors()
    with pytest.raises(OSError, match=r"."):
        open_beneath(folder, path)
    assert descriptors() == before


def test_a_leading_slash_means_the_folder(folder: Path) -> None:
    assert content(folder, "/a.txt") == "a"
    with pytest.raises(FileNotFoundError):
        open_beneath(folder, "/etc/passwd")


def test_a_socket_is_no_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A path of a Unix socket is short.
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        with pytest.raises(OSError, match="not a regular file"):
            open_beneath(folder, "socket")


def test_a_chain_of_links_ends_somewhere(folder: Path) -> None:
    for number in range(MAX_LINKS + 1):
        (folder / f"link{number}").symlink_to(f"link{number + 1}")
    (folder / f"link{MAX_LINKS + 1}").write_text("end")
    assert content(folder, "link1") == "end"
    with pytest.raises(OSError, match="too many links"):
        open_beneath(folder, "link0")


def test_a_name_that_becomes_a_link_while_it_is_opened_is_not_followed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The race that a check of the path before `open` loses."""
    look = os.stat

    def look_then_swap(path: str, **options: object) -> os.stat_result:
        status = look(path, **options)  # type: ignore[arg-type]
        if path in ("a.txt", "sub"):
            (folder / path).rename(folder / "away")
            (folder / path).symlink_to("../secret" if path == "a.txt" else "..")
        return status

    monkeypatch.setattr(os, "stat", look_then_swap)
    with pytest.raises(OSError, match=r"symbolic links|Not a directory"):
        open_beneath(folder, "a.txt")
    (folder / "away").unlink()
    with pytest.raises(OSError, match=r"symbolic links|Not a directory"):
        open_beneath(folder, "sub/secret")


def test_a_root_that_is_a_link_is_fine(folder: Path) -> None:
    (folder.parent / "current").symlink_to("files")
    assert content(folder.parent / "current", "a.txt") == "a"
