"""Percentiles are right within 1 % or 0.1 ms, also after a journey to the master."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.histogram import Histogram

seconds = st.floats(min_value=0, max_value=3600)


def histogram(values: list[float]) -> Histogram:
    made = Histogram()
    for value in values:
        made.add(value)
    return made


def near(value: float) -> object:
    return pytest.approx(value, rel=0.01, abs=0.0001)


@given(seconds)
def test_one_value_is_kept_within_a_hundredth(value: float) -> None:
    assert histogram([value]).percentile(0.5) == near(value)


@given(st.lists(seconds, min_size=1), st.floats(min_value=0.01, max_value=1))
def test_a_percentile_is_that_of_the_sorted_values(values: list[float], share: float) -> None:
    ordered = sorted(values)
    expected = next(v for n, v in enumerate(ordered, 1) if n >= share * len(ordered))
    assert histogram(values).percentile(share) == near(expected)


@given(st.lists(seconds), st.lists(seconds))
def test_two_merged_are_as_one(left: list[float], right: list[float]) -> None:
    merged = histogram(left)
    merged.merge(Histogram.from_compact(json.loads(json.dumps(histogram(right).compact()))))
    assert merged.summary() == histogram(left + right).summary()


def test_a_tenth_of_a_millisecond_makes_a_difference() -> None:
    values = histogram([0.0002] * 99 + [0.0109])
    assert values.percentile(0.5) == near(0.00025)
    assert values.percentile(1) == near(0.0109)
    assert values.max == 0.0109


def test_what_has_no_bucket_goes_to_the_nearest() -> None:
    values = histogram([-0.5, 100_000.0])
    assert values.percentile(0.5) == near(0)
    assert values.percentile(1) == near(3600)
    assert values.summary()["max"] == 100_000


def test_of_nothing_all_is_nothing() -> None:
    assert set(Histogram().summary().values()) == {0}
