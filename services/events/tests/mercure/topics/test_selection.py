"""Selections: which cost a look-up alone, which share an audience, which get private events."""

import pytest

from eddyline.journal.base import Entry, NewEntry
from eddyline.journal.cursor import Cursor
from eddyline_events.mercure.topics.matcher import Matcher
from eddyline_events.mercure.topics.selection import MercureSelection

BASE = "https://hub.example/.well-known/mercure"


def matcher(kind: str, text: str) -> Matcher:
    return Matcher.parse(kind, text, BASE)


def selected(asked: list[Matcher], grants: list[Matcher]) -> MercureSelection:
    return MercureSelection.from_matchers(asked, grants)


def entry(*topics: str, private: bool = False) -> Entry:
    new = NewEntry(topics[0], "x", private=private, alternates=topics[1:])
    return Entry.from_new(new, Cursor("e", 1), 0.0)


def test_exact_topics_are_a_look_up() -> None:
    asked = [matcher("exact", "/a/:b"), matcher("selector", "c"), matcher("selector", "{broken")]
    assert selected(asked, []).topics == {"/a/:b", "c", "{broken"}


@pytest.mark.parametrize(
    ("kind", "text"),
    [("exact", "*"), ("selector", "*"), ("selector", "a/{b}"), ("urlpattern", "/a")],
)
def test_a_pattern_is_none(kind: str, text: str) -> None:
    selection = selected([matcher("exact", "a"), matcher(kind, text)], [])
    assert selection.topics == {"a"}
    assert selection.prefixes == {"a/" if text == "a/{b}" else ""}


def test_equal_selections_are_equal_keys_whatever_the_order() -> None:
    one = [matcher("urlpattern", "/a/:b"), matcher("exact", "c")]
    two = [matcher("exact", "c"), matcher("urlpattern", "/a/:b")]
    grants = [matcher("selector", "*")]
    assert selected(one, grants) == selected(two, grants)
    assert hash(selected(one, grants)) == hash(selected(two, grants))
    assert selected(one, grants) != selected(one, [])


def test_a_private_entry_must_be_asked_for_and_granted() -> None:
    selection = selected([matcher("selector", "a{x}")], [matcher("urlpattern", "/b/*")])
    assert selection.matches(entry("a1"))
    assert not selection.matches(entry("a1", private=True))
    assert not selection.matches(entry("/b/1", private=True))
    assert selection.matches(entry("a1", "/b/1", private=True))
    assert selection.may_match("a1")
    assert not selection.may_match("/b/1")
