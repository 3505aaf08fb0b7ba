import errno
import os
from pathlib import Path
from typing import Any

import pytest

from eddyline.errors import NotFound, Unavailable
from eddyline_downloads.stores import folder as module
from eddyline_downloads.stores.folder import FolderStore


def everything(_: str) -> bool:
    return True


async def test_opens_a_file_that_the_kernel_must_wait_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "open_nonblocking", lambda *_: None)
    with await FolderStore(folder).open("sub/b.txt") as file:
        assert file.read() == b"bb"


async def test_a_path_that_names_no_regular_file_of_the_folder_is_not_found(folder: Path) -> None:
    for path in ("nothing", "outside", "fifo", "sub", "loop", "a.txt/b", "x" * 5000, "\ud800"):
        with pytest.raises(NotFound) as caught:
            await FolderStore(folder).open(path)
        assert caught.value.detail == f"there is no file {path[:200]!r}"


async def test_a_fault_of_the_server_is_not_not_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(module, "open_nonblocking", lambda *_: None)
    monkeypatch.setattr(module, "open_beneath", broken)
    with pytest.raises(OSError, match="Too many open files"):
        await FolderStore(folder).open("a.txt")


async def test_a_folder_that_is_away_is_unavailable(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "away")
    assert store.fault() is not None
    asked: list[Any] = [store.open("a"), store.open("\ud800"), store.page("", "", 1, everything)]
    for answer in asked:
        with pytest.raises(Unavailable) as caught:
            await answer
        assert str(tmp_path) not in caught.value.detail
