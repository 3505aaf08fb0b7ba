import os
from pathlib import Path

import pytest

from downloads import cached
from downloads.cached import open_cached


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize(
    ("path", "text"), [("a.txt", "a"), ("sub/deep/c.txt", "ccc"), ("folder/b.txt", "bb")]
)
def test_opens_what_is_in_the_caches(folder: Path, path: str, text: str) -> None:
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
