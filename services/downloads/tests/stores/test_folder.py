import errno
import os
from pathlib import Path

import pytest

from eddyline.errors import BadRequest, NotFound, Unavailable
from eddyline_downloads.stores import folder as module
from eddyline_downloads.stores.folder import FileStore, Page, checked


def everything(_: str) -> bool:
    return True


@pytest.mark.parametrize(
    "path", ["", "/", "/a", "a/", "a//b", ".", "./a", "a/./b", "..", "../a", "a/..", "a/../b", "\0"]
)
def test_a_path_has_one_spelling(path: str) -> None:
    with pytest.raises(BadRequest, match="is not a path"):
        checked(path)


@pytest.mark.parametrize("path", ["a", "a/b", "...", "a..b", ".hidden", "a b", "é", "\\..\\a"])
def test_an_odd_name_is_a_name(path: str) -> None:
    assert checked(path) == path


def test_opens_a_file(folder: Path) -> None:
    with FileStore(folder).open("sub/b.txt") as file:
        assert file.read() == b"bb"


def test_opens_a_file_at_once_or_not_at_all(folder: Path) -> None:
    file = FileStore(folder).open_cached("sub/b.txt")
    assert file is not None
    with file:
        assert file.read() == b"bb"
    assert FileStore(folder).open_cached("nothing") is None
    assert FileStore(folder).open_cached("\ud800") is None


def test_what_cannot_be_opened_is_not_there(folder: Path) -> None:
    for path in ("nothing", "outside", "fifo", "sub", "loop", "a.txt/b", "x" * 5000, "\ud800"):
        with pytest.raises(NotFound) as caught:
            FileStore(folder).open(path)
        assert caught.value.detail == f"there is no file {path[:200]!r}"


def test_a_fault_of_the_server_is_not_not_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(module, "open_beneath", broken)
    with pytest.raises(OSError, match="Too many open files"):
        FileStore(folder).open("a.txt")


def test_a_folder_that_is_away_is_unavailable(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "away")
    assert store.fault() is not None
    for ask in (lambda: store.open("a"), lambda: store.page("", "", 1, everything)):
        with pytest.raises(Unavailable) as caught:
            ask()
        assert str(tmp_path) not in caught.value.detail


def test_pages_follow_each_other(folder: Path) -> None:
    store = FileStore(folder)
    page = Page([], "")
    paths = []
    while page.cursor is not None:
        page = store.page("", page.cursor, 1, everything)
        paths += [file["path"] for file in page.files]
    assert paths == ["a.txt", "sub/b.txt", "sub/deep/c.txt"]


def test_lists_what_may_be_read(folder: Path) -> None:
    page = FileStore(folder).page("", "", 1, lambda path: path.endswith("c.txt"))
    (file,) = page.files
    assert page.cursor is None
    assert (file["path"], file["size"], file["media_type"]) == ("sub/deep/c.txt", 3, "text/plain")
    assert file["modified"].endswith("+00:00")
