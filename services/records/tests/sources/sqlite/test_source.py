from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from eddyline.errors import BadRequest, Unavailable
from eddyline_records.sources.sqlite.source import SqliteSource

Make = Callable[..., SqliteSource]


async def test_reads_columns_and_key(make: Make) -> None:
    schema = await make([]).schema()
    assert (schema.columns, schema.key, schema.key_type) == (("id", "name"), ("id",), "INTEGER")


@pytest.mark.parametrize(
    ("declared", "key"),
    [
        ("id TEXT PRIMARY KEY, name TEXT", "id"),
        ("id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE", "name"),
    ],
)
async def test_a_unique_column_is_a_key(make: Make, declared: str, key: str) -> None:
    assert (await make([], declared, key).schema()).key == (key,)


@pytest.mark.parametrize(
    ("declared", "key"),
    [
        ("id INTEGER PRIMARY KEY, name TEXT NOT NULL", "name"),
        ("id INTEGER PRIMARY KEY, name TEXT UNIQUE", "name"),
        ("a TEXT, b TEXT, PRIMARY KEY (a, b)", "a"),
        ("id INTEGER PRIMARY KEY, name TEXT", "other"),
    ],
)
async def test_what_is_no_key_is_refused(
    make: Make, declared: str, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Unavailable, match="'things' cannot be served"):
        await make([], declared, key).schema()
    assert "is no key" in caplog.text or "no column" in caplog.text


async def test_the_client_is_told_no_path(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    absent = replace(make([]), path=tmp_path / "absent.db")
    for dataset in (absent, replace(make_again(absent), table="nothing")):
        with pytest.raises(Unavailable) as caught:
            await dataset.schema()
        assert str(tmp_path) not in str(caught.value)
        assert str(dataset.path) in caplog.text


def make_again(absent: SqliteSource) -> SqliteSource:
    return replace(absent, path=absent.path.parent / "things.db")


async def test_reading_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        await SqliteSource("things", tmp_path / "absent.db", "things", ("id",)).schema()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("declared", "text", "key"),
    [
        ("id INTEGER PRIMARY KEY, name TEXT", "-5", -5),
        ("id REAL PRIMARY KEY, name TEXT", "2.5", 2.5),
        ("id TEXT PRIMARY KEY, name TEXT", "5", "5"),
    ],
)
async def test_a_key_has_the_type_of_its_column(
    make: Make, declared: str, text: str, key: object
) -> None:
    source = make([], declared)
    assert source.key_of(await source.schema(), text) == (key,)


@pytest.mark.parametrize("text", ["", "x", "1.5", str(2**63), "nan"])
async def test_what_is_no_key_is_named(make: Make, text: str) -> None:
    source = make([])
    schema = await source.schema()
    with pytest.raises(BadRequest, match=rf"after='{text}': the key 'id' is of type INTEGER"):
        source.key_of(schema, text)
