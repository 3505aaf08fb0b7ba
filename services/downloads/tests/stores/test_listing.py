import os
from pathlib import Path

import pytest

from eddyline_downloads.stores.listing import walk
from eddyline_downloads.stores.safe_open import open_beneath


def paths(folder: Path, prefix: str = "", after: str = "") -> list[str]:
    return [path for path, _ in walk(folder, prefix, after)]


@pytest.fixture
def tree(tmp_path: Path) -> list[str]:
    """Names whose order changes where a folder is taken for a file of its name."""
    names = ["a", "a-b", "a.b", "a/1", "a0", "ab/c/d", "ab/c", "b/x", "b/y", "b/z", "é", "z"]
    made = []
    for name in names:
        path = tmp_path / name
        if (tmp_path / name).exists() or any(p.is_file() for p in path.parents):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        made.append(name)
    return sorted(made)


def test_is_in_the_order_of_paths(tmp_path: Path, tree: list[str]) -> None:
    assert paths(tmp_path) == tree


def test_goes_on_after_any_text(tmp_path: Path, tree: list[str]) -> None:
    for cursor in [*tree, "", "a/", "ab", "ab/", "ab/c/", "b/xx", "b0", "zz", "/", "\x00", "~"]:
        assert paths(tmp_path, after=cursor) == [path for path in tree if path > cursor]


def test_keeps_to_the_prefix(tmp_path: Path, tree: list[str]) -> None:
    for prefix in ["", "a", "a/", "ab", "ab/c", "b", "b/", "b/y", "é", "nothing", "../", "/"]:
        expected = [path for path in tree if path.startswith(prefix)]
        assert paths(tmp_path, prefix) == expected
        assert paths(tmp_path, prefix, "b/x") == [path for path in expected if path > "b/x"]


def test_has_the_regular_files_that_are_opened(folder: Path) -> None:
    """One rule for links: those that stay in the folder are followed, here as there."""
    found = paths(folder)
    assert found == [
        "a.txt",
        "folder/b.txt",
        "folder/deep/c.txt",
        "inside",
        "sub/b.txt",
        "sub/deep/c.txt",
        "up-and-back",
    ]
    for path in found:
        os.close(open_beneath(folder, path))
    assert paths(folder, "folder/", "folder/b.txt") == ["folder/deep/c.txt"]


def test_a_link_to_a_folder_that_holds_it_ends_nowhere(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").touch()
    (tmp_path / "sub" / "up").symlink_to("..")
    (tmp_path / "sub" / "self").symlink_to(".")
    assert paths(tmp_path) == ["sub/a"]


def test_the_size_of_a_link_is_that_of_its_file(folder: Path) -> None:
    sizes = {path: status.st_size for path, status in walk(folder, "", "")}
    assert sizes["inside"] == sizes["sub/b.txt"] == 2


def test_hidden_files_are_not_listed(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").touch()
    (tmp_path / ".env").touch()
    (tmp_path / "a.env").touch()
    assert paths(tmp_path) == ["a.env"]


def test_passes_over_names_that_are_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "good").touch()
    try:
        os.close(os.open(os.fsencode(tmp_path) + b"/bad\xff", os.O_CREAT | os.O_WRONLY))
    except OSError:
        pytest.skip(f"{tmp_path} takes UTF-8 names alone: give --basetemp on ext4, xfs or tmpfs")
    assert paths(tmp_path) == ["good"]


def test_holds_no_folder_open_when_it_is_left(folder: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    walking = walk(folder, "sub", "")
    next(walking)
    assert len(os.listdir("/proc/self/fd")) > before
    walking.close()
    assert len(os.listdir("/proc/self/fd")) == before
