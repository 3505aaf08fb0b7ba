from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from eddyline.errors import BadRequest, Unavailable
from eddyline_records.sources.dataset import Dataset
from eddyline_records.sources.table import Table

Make = Callable[..., Dataset]


def test_reads_columns_and_key(make: Make) -> None:
    table = Table.from_dataset(make([]))
    assert (table.columns, table.key, table.key_type) == (("id", "name"), "id", "INTEGER")


@pytest.mark.parametrize(
    ("declared", "key"),
    [
        ("id TEXT PRIMARY KEY, name TEXT", "id"),
        ("id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE", "name"),
    ],
)
def test_a_unique_column_is_a_key(make: Make, declared: str, key: str) -> None:
    assert Table.from_dataset(make([], declared, key)).key == key


@pytest.mark.parametrize(
    ("declared", "key"),
    [
        ("id INTEGER PRIMARY KEY, name TEXT NOT NULL", "name"),
        ("id INTEGER PRIMARY KEY, name TEXT UNIQUE", "name"),
        ("a TEXT, b TEXT, PRIMARY KEY (a, b)", "a"),
        ("id INTEGER PRIMARY KEY, name TEXT", "other"),
    ],
)
def test_what_is_no_key_is_refused(
    make: Make, declared: str, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Unavailable, match="'things' cannot be read"):
        Table.from_dataset(make([], declared, key))
    assert "is no key" in caplog.text


def test_the_client_is_told_no_path(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    absent = replace(make([]), path=tmp_path / "absent.db")
    for dataset in (absent, replace(make_again(absent), table="nothing")):
        with pytest.raises(Unavailable) as caught:
            Table.from_dataset(dataset)
        assert str(tmp_path) not in str(caught.value)
        assert str(dataset.path) in caplog.text


def make_again(absent: Dataset) -> Dataset:
    return replace(absent, path=absent.path.parent / "things.db")


def test_reading_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        Table.from_dataset(Dataset("things", tmp_path / "absent.db", "things", "id"))
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_column_is_named(make: Make) -> None:
    table = Table.from_dataset(make([]))
    assert table.select(None) == ("id", "name")
    assert table.select(["name", "id", "name"]) == ("name", "id")
    with pytest.raises(BadRequest, match=r"no column 'nam\\'e': there are id, name|no column"):
        table.select(["id", "nam'e"])


@pytest.mark.parametrize(
    ("declared", "text", "key"),
    [
        ("id INTEGER PRIMARY KEY, name TEXT", "-5", -5),
        ("id REAL PRIMARY KEY, name TEXT", "2.5", 2.5),
        ("id TEXT PRIMARY KEY, name TEXT", "5", "5"),
    ],
)
def test_a_key_has_the_type_of_its_column(
    make: Make, declared: str, text: str, key: object
) -> None:
    assert Table.from_dataset(make([], declared)).key_of(text) == key


@pytest.mark.parametrize("text", ["", "x", "1.5", str(2**63), "nan"])
def test_what_is_no_key_is_named(make: Make, text: str) -> None:
    with pytest.raises(BadRequest, match=rf"after='{text}': the key 'id' is of type INTEGER"):
        Table.from_dataset(make([])).key_of(text)
