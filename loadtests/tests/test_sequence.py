"""Lost, repeated and unordered items are counted, over reconnects and from many sources."""

import pytest

from loadtests.measures import Counters
from loadtests.sequence import Sequence


@pytest.mark.parametrize(
    ("numbers", "lost", "repeated", "reordered"),
    [
        ([5, 6, 7], 0, 0, 0),
        ([1, 2, 5, 6], 2, 0, 0),
        ([1, 2, 2, 3], 0, 1, 0),
        ([4, 5, 3], 0, 1, 0),
        ([1, 3, 2, 4], 0, 0, 1),
        ([1, 4, 2, 2, 5], 1, 1, 1),
    ],
)
def test_numbers(numbers: list[int], lost: int, repeated: int, reordered: int) -> None:
    counters = Counters()
    sequence = Sequence(counters)
    for number in numbers:
        sequence.saw("a", number)
        sequence.saw("b", number + 7)
    assert [counters.lost, counters.repeated, counters.reordered] == [
        2 * lost,
        2 * repeated,
        2 * reordered,
    ]


def test_after_a_gap_that_was_told_nothing_is_missing() -> None:
    counters = Counters()
    sequence = Sequence(counters)
    sequence.saw("a", 3)
    sequence.forget()
    sequence.saw("a", 9)
    sequence.saw("a", 10)
    assert counters.lost == 0


def test_a_great_hole_is_counted_without_being_kept() -> None:
    counters = Counters()
    sequence = Sequence(counters)
    sequence.saw("a", 1)
    sequence.saw("a", 10**12)
    assert counters.lost == 10**12 - 2
