import os
from dataclasses import replace
from pathlib import Path

import pytest

from eddyline.files.version import TICK, FileVersion

SECOND = 10**9
NOW = 1_700_000_000.0
OLD = FileVersion(100, 1_600_000_000 * SECOND, 1_600_000_000 * SECOND, 7)


@pytest.mark.parametrize("fact", ["size", "modified", "changed", "inode"])
def test_the_tag_changes_with_each_fact(fact: str) -> None:
    assert replace(OLD, **{fact: getattr(OLD, fact) + 1}).etag(NOW) != OLD.etag(NOW)


def test_a_tag_is_weak_while_another_write_may_hide_and_another_one_then() -> None:
    """RFC 9110 §8.8.1: a strong validator changes with each change of the bytes."""
    written = OLD.changed / SECOND
    for now in (written - 60, written, written + TICK - 0.01):
        assert OLD.etag(now).startswith('W/"')
    weak, strong = OLD.etag(written), OLD.etag(written + TICK)
    assert strong.startswith('"')
    assert strong != weak.removeprefix("W/")


def test_a_tag_tells_nothing_of_the_file_system() -> None:
    version = replace(OLD, inode=123456789)
    assert "123456789" not in version.etag(NOW)
    assert f"{123456789:x}" not in version.etag(NOW)


def replaced_by_rename(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"B" * path.stat().st_size)
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)


def rewritten_in_place(path: Path) -> None:
    status = path.stat()
    with path.open("r+b") as file:
        file.write(b"B" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("change", [replaced_by_rename, rewritten_in_place])
def test_another_version_of_the_same_time_and_size_has_another_tag(tmp_path, change) -> None:
    """SOURCE_DATE_EPOCH, Nix, layers of images, `rsync -t`: all files have one time."""
    path = tmp_path / "file"
    path.write_bytes(b"A" * 100)
    os.utime(path, (1, 1))
    before = path.stat()
    change(path)
    after = path.stat()
    assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    later = after.st_ctime + 100
    one, other = (FileVersion.from_status(status).etag(later) for status in (before, after))
    assert one != other


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (1_600_000_000, 1_600_000_000),
        (NOW - TICK, NOW - TICK),
        (NOW - 1, None),
        (NOW, None),
        (NOW + 1, NOW - 1),
        (253_402_300_800, NOW - 1),
        (2**40, NOW - 1),
        (2, 2),
        (1, None),
        (0, None),
        (-1000, None),
        (-(2**40), None),
    ],
)
def test_a_date_is_never_later_than_its_message(seconds: float, told: float | None) -> None:
    """RFC 9110 §8.8.2.1; a date that names no version, or no time at all, is left out."""
    assert replace(OLD, modified=int(seconds) * SECOND).last_modified(NOW) == told


def test_a_date_is_strong_where_nothing_has_changed_the_file_since() -> None:
    """RFC 9110 §8.8.2.2."""
    assert OLD.is_dated(1_600_000_000)
    assert not OLD.is_dated(1_600_000_001)
    assert not replace(OLD, changed=OLD.changed + SECOND).is_dated(1_600_000_000)
