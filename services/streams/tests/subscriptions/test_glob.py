"""Patterns over paths (section 6.2 of the protocol)."""

import time

import pytest

from eddyline_streams.subscriptions.glob import literal_prefix, matches, readings


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("events/*", "events/a", True),
        ("events/*", "events/a/b", False),
        ("events/*", "events", False),
        ("events/**", "events/a/b", True),
        ("events/**", "events", True),
        ("**", "a/b/c", True),
        ("a/**/z", "a/z", True),
        ("a/**/z", "a/b/c/z", True),
        ("a/**/z", "a/b/c", False),
        ("**/b/**", "a/b/c", True),
        ("a*", "ab", False),
        ("*/*", "a/b", True),
        ("a/b", "a/b", True),
        ("a/b", "a/c", False),
    ],
)
def test_a_star_is_a_segment_and_two_are_any_number(
    pattern: str, path: str, expected: bool
) -> None:
    assert matches(pattern, path) is expected
    if expected:
        assert path.startswith(literal_prefix(pattern))


def test_many_stars_take_no_time() -> None:
    began = time.perf_counter()
    assert not matches("/".join(["**"] * 100 + ["x"]), "/".join(["a"] * 400))
    assert time.perf_counter() - began < 5


def test_a_pattern_is_granted_with_all_that_it_may_stand_for() -> None:
    assert readings("a/**") == {"a/**", "a"}
    assert readings("a/**/b") == {"a/**/b", "a/b"}
    assert readings("a/*") == {"a/*"}
