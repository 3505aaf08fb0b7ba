import os
import socket
from pathlib import Path

import pytest

from eddyline_downloads.stores.beneath import MAX_LINKS, open_beneath


def content(folder: Path, path: str) -> str:
    with os.fdopen(open_beneath(folder, path)) as file:
        return file.read()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


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
def test_opens_nothing_else(folder: Path, path: str) -> None:
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
