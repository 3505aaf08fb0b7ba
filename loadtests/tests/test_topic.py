"""A subscriber that hears nothing while others on its topic do is expected to hear something."""

from typing import Any

from loadtests.topic import Topic


class Newcomer:
    def __init__(self) -> None:
        self.due = 0.0

    def expect(self, due: float) -> None:
        self.due = due


def test_a_newcomer_should_hear_what_was_sent_while_it_was_there(clock: Any) -> None:
    heard, newcomer, later = Topic(), Newcomer(), Newcomer()
    heard.join(newcomer, 2.0)
    clock(1001.0)
    heard.join(later, 2.0)
    # Events that were on their way when it came may have gone out without it.
    heard.heard(999.0)
    heard.heard(1001.9)
    assert (newcomer.due, later.due) == (0, 0)
    heard.heard(1002.5)
    assert (newcomer.due, later.due) == (2.0, 0)
    heard.heard(1003.5)
    assert later.due == 2.0


def test_who_left_is_expected_to_hear_nothing(clock: Any) -> None:
    heard, newcomer = Topic(), Newcomer()
    heard.join(newcomer, 2.0)
    heard.leave(newcomer)
    heard.heard(2000.0)
    assert newcomer.due == 0


def test_old_news_is_no_witness(clock: Any) -> None:
    """Slow readers and readers that resume hear older events."""
    heard, newcomer = Topic(), Newcomer()
    heard.heard(2000.0)
    heard.join(newcomer, 2.0)
    heard.heard(1500.0)
    assert newcomer.due == 0
