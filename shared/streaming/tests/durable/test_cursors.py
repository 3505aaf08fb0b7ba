"""Cursors by which caches tell requests apart (section 10.1 of the protocol)."""

from datetime import UTC, datetime

import pytest

from eddyline.durable import cursors


@pytest.fixture
def minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """One minute after the cursors' own epoch, October 9, 2024."""
    at = datetime(2024, 10, 9, 0, 1, tzinfo=UTC).timestamp()
    monkeypatch.setattr(cursors.time, "time", lambda: at)


@pytest.mark.usefixtures("minute")
@pytest.mark.parametrize("echoed", [None, 0, 2])
def test_a_cursor_counts_intervals_of_20_seconds(echoed):
    assert cursors.following(echoed) == "3"


@pytest.mark.usefixtures("minute")
@pytest.mark.parametrize("echoed", [3, 4, 10**15 - 1])
def test_a_client_that_is_ahead_gets_a_greater_one(echoed):
    for _ in range(200):
        assert echoed < int(cursors.following(echoed)) <= echoed + 180


@pytest.mark.parametrize(
    ("text", "cursor"),
    [("17", 17), (None, None), ("", None), ("-1", None), ("x", None), ("1" * 16, None)],
)
def test_other_texts_count_as_none(text, cursor):
    assert cursors.parse(text) == cursor
