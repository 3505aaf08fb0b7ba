from pathlib import Path

import pytest

from eddyline_records.sources.registry import parse_datasets
from eddyline_records.sources.sqlite.source import SqliteSource


def test_an_absolute_path_has_four_slashes() -> None:
    parsed = parse_datasets("users=sqlite:////srv/a%20b.db?table=people&key=id")
    assert parsed == {"users": SqliteSource("users", Path("/srv/a b.db"), "people", ("id",))}


def test_a_relative_path_has_three_slashes() -> None:
    parsed = parse_datasets("u=sqlite:///data/u.db?table=t&key=k")
    assert parsed == {"u": SqliteSource("u", Path("data/u.db"), "t", ("k",))}


def test_white_space_separates() -> None:
    text = " a=sqlite:///a?table=t&key=k\n\tb=sqlite:///b?table=t&key=k "
    assert list(parse_datasets(text)) == ["a", "b"]
    assert parse_datasets("") == {}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("users", "is not a database"),
        ("=sqlite:///a?table=t&key=k", "is not a name"),
        ("a/b=sqlite:///a?table=t&key=k", "is not a name"),
        ("a=postgres://host/db?table=t&key=k", "is not a database"),
        ("a=sqlite://host/a?table=t&key=k", "is not a database"),
        ("a=sqlite:///?table=t&key=k", "is not a database"),
        ("a=sqlite:///a", "must name one table, and a key"),
        ("a=sqlite:///a?table=t", "must name one table, and a key"),
        ("a=sqlite:///a?table=t&key=k&mode=rw", "must name one table, and a key"),
        ("a=sqlite:///a?table=t&table=s&key=k", "must name one table, and a key"),
        ("a=sqlite:///a?table=t&key=k&keys=no", "keys='no' must be 'fixed' or 'may_change'"),
        ("a=sqlite:///a?table=t&key=k a=sqlite:///b?table=t&key=k", "another dataset 'a'"),
    ],
)
def test_a_bad_one_is_named(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault) as caught:
        parse_datasets(text)
    assert text.split()[-1] in str(caught.value)
