"""The contract of a store, for each of them."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from eddyline.errors import BadRequest, NotFound
from eddyline.files.version import FileVersion
from eddyline_downloads.stores.base import ListingPage, Store, checked
from eddyline_downloads.stores.folder import FolderStore
from eddyline_downloads.stores.memory import MemoryStore

MODIFIED = 1_600_000_000 * 10**9

Make = Callable[[Mapping[str, bytes]], Store]

HIDDEN = {".env": b"secret", ".git/config": b"secret", "sub/.env": b"secret"}
FILES = {"a.txt": b"a", "a/1": b"", "a0": b"0", "sub/b.txt": b"bb", "sub/deep/c.txt": b"ccc"}


@pytest.fixture(params=["folder", "memory"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Makes a store of the files, all of them modified at MODIFIED."""

    def in_folder(files: Mapping[str, bytes]) -> Store:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            os.utime(path, ns=(MODIFIED, MODIFIED))
        return FolderStore(tmp_path)

    return in_folder if request.param == "folder" else lambda files: MemoryStore(files, MODIFIED)


def everything(_: str) -> bool:
    return True


async def paths(store: Store, prefix: str = "", after: str = "", limit: int = 100) -> list[str]:
    page = await store.page(prefix, after, limit, everything)
    return [entry.path for entry in page.files]


async def test_opens_each_file_anew_from_its_start(make: Make) -> None:
    store = make(FILES)
    for _ in range(2):
        with await store.open("sub/b.txt") as file:
            assert file.read() == b"bb"
            assert os.fstat(file.fileno()).st_mtime_ns == MODIFIED


@pytest.mark.parametrize("path", ["nothing", "sub", "a.txt/b", "x" * 5000, "\ud800", "A.TXT"])
async def test_a_path_without_a_file_is_not_found(make: Make, path: str) -> None:
    with pytest.raises(NotFound) as caught:
        await make(FILES).open(path)
    assert caught.value.detail == f"there is no file {path[:200]!r}"


async def test_a_listing_tells_of_each_file_what_its_response_will(make: Make) -> None:
    store = make(FILES)
    page = await store.page("", "", 100, everything)
    for entry in page.files:
        with await store.open(entry.path) as file:
            status = os.fstat(file.fileno())
        assert entry.version == FileVersion.from_status(status)
        assert entry.version.size == len(FILES[entry.path])
        assert entry.version.modified == MODIFIED


async def test_a_hidden_file_is_neither_opened_nor_listed(make: Make) -> None:
    store = make({**FILES, **HIDDEN})
    assert await paths(store) == sorted(FILES)
    for path in HIDDEN:
        with pytest.raises(NotFound) as caught:
            await store.open(path)
        assert caught.value.detail == f"there is no file {path!r}"


async def test_a_file_of_an_odd_name_is_listed_and_opened(make: Make) -> None:
    names = ["new\nline.txt", "back\\slash.txt", "a..b", "x", 'quo"te', "\r", " "]
    store = make(dict.fromkeys(names, b"odd"))
    assert await paths(store) == sorted(names)
    for name in names:
        with await store.open(name) as file:
            assert file.read() == b"odd"


async def test_a_listing_is_in_the_order_of_paths(make: Make) -> None:
    assert await paths(make(FILES)) == sorted(FILES)


async def test_a_listing_keeps_to_its_prefix_and_goes_on_after_any_text(make: Make) -> None:
    store = make(FILES)
    for prefix in ("", "a", "sub/", "sub/d", "nothing"):
        for after in ("", "a", "a/", "a.txt", "sub/b.txt", "sub/c", "~"):
            expected = [p for p in sorted(FILES) if p.startswith(prefix) and p > after]
            assert await paths(store, prefix, after) == expected


async def test_pages_follow_each_other_and_the_last_has_no_cursor(make: Make) -> None:
    store = make(FILES)
    page, found = ListingPage([], ""), []
    while page.cursor is not None:
        page = await store.page("", page.cursor, 2, everything)
        assert len(page.files) <= 2
        found += [entry.path for entry in page.files]
    assert found == sorted(FILES)
    assert (await store.page("", "", len(FILES), everything)).cursor is None


async def test_a_listing_has_only_files_that_may_be_read(make: Make) -> None:
    page = await make(FILES).page("", "", 1, lambda path: path.endswith("c.txt"))
    assert [entry.path for entry in page.files] == ["sub/deep/c.txt"]
    assert page.cursor is None


async def test_a_store_without_a_fault_has_files(make: Make) -> None:
    assert make(FILES).fault() is None


@pytest.mark.parametrize(
    "path", ["", "/", "/a", "a/", "a//b", ".", "./a", "a/./b", "..", "../a", "a/..", "a/../b", "\0"]
)
def test_a_path_has_one_spelling(path: str) -> None:
    with pytest.raises(BadRequest, match="is not a path"):
        checked(path)


@pytest.mark.parametrize("path", ["a", "a/b", "...", "a..b", ".hidden", "a b", "é", "\\..\\a"])
def test_an_odd_name_is_a_name(path: str) -> None:
    assert checked(path) == path
