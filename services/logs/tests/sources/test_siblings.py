"""The order of rotated files, by names as the tools make them."""

import os
from pathlib import Path

import pytest

from eddyline_logs.sources.siblings import rotated_names, siblings


def make(folder: Path, *names: str) -> Path:
    """Files whose times ascend."""
    for time, name in enumerate(names, 1):
        (folder / name).write_text("x")
        os.utime(folder / name, (time, time))
    return folder / "app.log"


def order(path: Path) -> list[str]:
    return [sibling.path.name for sibling in siblings(path)]


@pytest.mark.parametrize(
    "names",
    [
        ("app.log.3.gz", "app.log.2.gz", "app.log.1"),  # logrotate
        ("app.log.12", "app.log.2", "app.log.1"),
        ("app.log-20261127.zst", "app.log-20261128.gz", "app.log-20261129"),  # dateext
        ("app.log.2026-11-27_10", "app.log.2026-11-27_11"),
        ("app-2026-11-27.log", "app-2026-11-28.log.gz"),
        ("app.log.2026-11-28.1", "app.log.2026-11-28.2", "app.log.2026-11-28.10"),  # logback
        ("app.log.1", "app.log.2", "app.log.3"),  # log4j, fileIndex=max
        ("app.log.3.gz", "app.log.4", "app.log.3"),  # logrotate that compresses no more
        # A date and a count, and logrotate's `dateformat -%Y%m%d-%s`, by turns.
        ("app.log.20261128-000002", "app.log-20261128-1795842000", "app.log.20261128-000003"),
    ],
)
def test_the_oldest_comes_first(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert order(make(tmp_path, *names)) == list(names)


@pytest.mark.parametrize(
    "names",
    [
        ("app.log.3", "app.log.2", "app.log.1"),
        ("app.log-20261127", "app.log-20261128", "app.log-20261129"),
    ],
)
def test_a_late_line_in_an_old_file_changes_no_order(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    path = make(tmp_path, *names)
    for late in names:
        os.utime(tmp_path / late, (100, 100))
        assert order(path) == list(names)


def test_while_a_file_is_compressed_the_plain_one_is_read(tmp_path: Path) -> None:
    path = make(tmp_path, "app.log.2.gz", "app.log.1", "app.log.1.gz")
    assert order(path) == ["app.log.2.gz", "app.log.1"]


def test_rotated_files_are_none_that_a_listing_names() -> None:
    rotated = ["app.log.1", "app.log.2.gz", "app.log-20261128", "app-2026-11-28.log"]
    others = ["app.log", "app-2.log", "lonely.log.1", "app.log.bak", "1", "application.log"]
    assert rotated_names(rotated + others) == set(rotated)
