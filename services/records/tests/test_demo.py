import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from eddyline_records import demo
from eddyline_records.demo import make_users


def rows(path: Path) -> list[tuple[int, str]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT id, name FROM users ORDER BY id").fetchall()


def test_makes_users_from_0_on(tmp_path: Path) -> None:
    path = tmp_path / "new" / "users.db"
    make_users(path, 3)
    assert rows(path) == [(0, "User 0"), (1, "User 1"), (2, "User 2")]
    assert [other.name for other in path.parent.iterdir()] == ["users.db"]


def test_leaves_alone_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "users.db"
    make_users(path, 2)
    make_users(path, 5)
    assert len(rows(path)) == 2


def test_no_users(tmp_path: Path) -> None:
    make_users(tmp_path / "users.db", 0)
    assert rows(tmp_path / "users.db") == []


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_ROWS", "INSERT INTO nowhere VALUES (:rows)")
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        make_users(tmp_path / "users.db", 2)
    assert list(tmp_path.iterdir()) == []
