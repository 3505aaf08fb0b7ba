"""What is lost or comes twice is seen, over reconnects."""

from loadtests.sequence import Sequence


def test_consecutive_ids_are_right() -> None:
    sequence = Sequence()
    assert [sequence.saw(f"a.{n}") for n in range(5, 9)] == [None] * 4


def test_a_hole_and_a_repetition_are_named() -> None:
    sequence = Sequence()
    sequence.saw("a.1")
    assert sequence.saw("a.3") == "lost: 3 came after 1"
    assert sequence.saw("a.3") == "got twice: 3 came after 3"
    assert sequence.saw("a.4") is None


def test_another_journal_begins_anew() -> None:
    sequence = Sequence()
    sequence.saw("a.9")
    assert sequence.saw("b.1") is None
    assert sequence.saw("b.2") is None
