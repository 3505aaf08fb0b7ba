"""Selections: equal ones share an audience, and none lets through an event that is not granted."""

import pytest

from eddyline.auth.authenticator import UNRESTRICTED, Principal
from eddyline.auth.principal import parse_scopes
from eddyline.errors import Forbidden
from eddyline.journal.base import Entry, NewEntry
from eddyline.journal.cursor import Cursor
from eddyline_events.hub.selecting.selection import Selection


def entry(topic: str, private: bool = False) -> Entry:
    return Entry.from_new(NewEntry(topic, "x", private=private), Cursor("e", 1), 0.0)


def principal(subject: str, scope: str) -> Principal:
    return Principal(subject, None, parse_scopes(scope))


def test_users_with_equal_grants_share_an_audience() -> None:
    alice = Selection.from_texts(principal("alice", "events:subscribe:a* logs:read"), ["ab"])
    bob = Selection.from_texts(principal("bob", "chat:complete events:subscribe:a*"), ["ab"])
    assert alice == bob
    assert hash(alice) == hash(bob)
    assert alice != Selection.from_texts(principal("eve", "events:subscribe:*"), ["ab"])


def test_topics_are_exact() -> None:
    selection = Selection.from_texts(UNRESTRICTED, ["a", "b"])
    assert [selection.matches(entry(t)) for t in ("a", "b", "c", "ab")] == [
        True,
        True,
        False,
        False,
    ]


def test_a_topic_that_is_not_granted_is_refused() -> None:
    with pytest.raises(Forbidden, match="events:subscribe"):
        Selection.from_texts(principal("alice", "events:subscribe:a*"), ["ab", "b"])


def test_everything_is_what_is_public_and_granted() -> None:
    selection = Selection.from_texts(principal("alice", "events:subscribe:a*"), [])
    assert selection.matches(entry("ab"))
    assert not selection.matches(entry("b"))
    assert not selection.matches(entry("ab", private=True))


def test_templates_are_matched_and_each_topic_is_checked() -> None:
    selection = Selection.from_texts(principal("alice", "events:subscribe:a/*"), ["{kind}/{id}"])
    assert (selection.topics, selection.prefixes) == (set(), {""})
    for private in (False, True):
        assert selection.matches(entry("a/1", private))
        assert not selection.matches(entry("b/1", private))
        assert not selection.matches(entry("a/1/2", private))


def test_any_of_an_entrys_topics_will_do() -> None:
    new = NewEntry("b", "x", private=True, alternates=("a/1",))
    both = Entry.from_new(new, Cursor("e", 1), 0.0)
    grants = principal("alice", "events:subscribe:a/*")
    assert Selection.from_texts(grants, ["a/1"]).matches(both)
    assert Selection.from_texts(grants, ["a/{id}"]).matches(both)
    assert not Selection.from_texts(grants, ["*"]).matches(both)
    # The template matches "b", which is not granted; "a/1" is, and was not asked for.
    assert not Selection.from_texts(grants, ["{one}"]).matches(both)


@pytest.mark.parametrize("texts", [["a/1"], ["{kind}/{id}", "a/1"], ["*"], []])
def test_what_may_match_is_what_matches_in_public(texts: list[str]) -> None:
    selection = Selection.from_texts(principal("alice", "events:subscribe:a/*"), texts)
    for topic in ("a/1", "b/1", "a", "a/1/2"):
        assert selection.may_match(topic) == selection.matches(entry(topic))


def test_who_is_granted_no_topic_at_all_is_refused() -> None:
    for texts in ([], ["*"], ["a/{id}"]):
        with pytest.raises(Forbidden, match="events:subscribe"):
            Selection.from_texts(principal("alice", "events:publish logs:subscribe"), texts)


def test_what_was_asked_for_can_be_told() -> None:
    assert Selection.from_texts(UNRESTRICTED, ["b", "a/{id}", "*"]).texts() == ["*", "a/{id}", "b"]
    assert Selection.from_texts(UNRESTRICTED, []).texts() == ["*"]


def test_a_private_entry_reaches_who_asks_for_its_topic_and_is_granted_it() -> None:
    selection = Selection.from_texts(principal("alice", "events:subscribe:a*"), ["ab"])
    assert selection.matches(entry("ab", private=True))
