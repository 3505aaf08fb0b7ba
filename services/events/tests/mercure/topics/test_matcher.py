"""Topic matchers and selections: what costs a look-up, what shares an audience, what is private."""

import pytest

from eddyline.errors import BadRequest
from eddyline.journal.base import Entry, NewEntry
from eddyline.journal.cursor import Cursor
from eddyline_events.mercure.topics.matcher import Matcher, Selection

BASE = "https://hub.example/.well-known/mercure"


def matcher(kind: str, text: str) -> Matcher:
    return Matcher.parse(kind, text, BASE)


def entry(*topics: str, private: bool = False) -> Entry:
    new = NewEntry(topics[0], "x", private=private, alternates=topics[1:])
    return Entry.from_new(new, Cursor("e", 1), 0.0)


def test_exact_topics_are_a_look_up() -> None:
    asked = [matcher("exact", "/a/:b"), matcher("selector", "c"), matcher("selector", "{broken")]
    assert Selection.from_matchers(asked, []).topics == {"/a/:b", "c", "{broken"}


@pytest.mark.parametrize(
    ("kind", "text"),
    [("exact", "*"), ("selector", "*"), ("selector", "a/{b}"), ("urlpattern", "/a")],
)
def test_a_pattern_is_none(kind: str, text: str) -> None:
    assert Selection.from_matchers([matcher("exact", "a"), matcher(kind, text)], []).topics is None


def test_equal_selections_are_equal_keys_whatever_the_order() -> None:
    one = [matcher("urlpattern", "/a/:b"), matcher("exact", "c")]
    two = [matcher("exact", "c"), matcher("urlpattern", "/a/:b")]
    grants = [matcher("selector", "*")]
    assert Selection.from_matchers(one, grants) == Selection.from_matchers(two, grants)
    assert hash(Selection.from_matchers(one, grants)) == hash(Selection.from_matchers(two, grants))
    assert Selection.from_matchers(one, grants) != Selection.from_matchers(one, [])


def test_a_private_entry_must_be_asked_for_and_granted() -> None:
    selection = Selection.from_matchers(
        [matcher("selector", "a{x}")], [matcher("urlpattern", "/b/*")]
    )
    assert selection.matches(entry("a1"))
    assert not selection.matches(entry("a1", private=True))
    assert not selection.matches(entry("/b/1", private=True))
    assert selection.matches(entry("a1", "/b/1", private=True))
    assert selection.may_match("a1")
    assert not selection.may_match("/b/1")


@pytest.mark.parametrize(
    ("kind", "text", "complaint"),
    [
        ("exact", "a\u202eb", "control or format"),
        ("exact", "x" * 4097, "4097 bytes"),
        ("selector", "é" * 2049, "4098 bytes"),
        ("urlpattern", "/" + "x" * 2048, "too long"),
        ("urlpattern", "/(" + r"\d" * 20 + ")", "too long"),
        ("urlpattern", "/(a{3})", "counts repetitions"),
        ("urlpattern", "/:", "URL pattern '/:'"),
    ],
)
def test_a_bad_matcher_is_refused_by_name(kind: str, text: str, complaint: str) -> None:
    with pytest.raises(BadRequest, match=complaint):
        matcher(kind, text)
