"""Selections: equal ones share an audience, and none lets through what is not granted."""

import pytest

from events.selection import Selection
from streaming.auth import UNRESTRICTED, Principal
from streaming.cursor import Cursor
from streaming.errors import Forbidden
from streaming.journal import Entry, NewEntry
from streaming.principal import parse_scopes


def entry(topic: str, private: bool = False) -> Entry:
    return Entry.of(NewEntry(topic, "x", private=private), Cursor("e", 1), 0.0)


def principal(subject: str, scope: str) -> Principal:
    return Principal(subject, None, parse_scopes(scope))


def test_users_with_equal_grants_share_an_audience() -> None:
    alice = Selection.of(principal("alice", "events:subscribe:a* logs:read"), ["ab"])
    bob = Selection.of(principal("bob", "chat:complete events:subscribe:a*"), ["ab"])
    assert alice == bob
    assert hash(alice) == hash(bob)
    assert alice != Selection.of(principal("eve", "events:subscribe:*"), ["ab"])


def test_topics_are_exact() -> None:
    selection = Selection.of(UNRESTRICTED, ["a", "b"])
    assert [selection.matches(entry(t)) for t in ("a", "b", "c", "ab")] == [
        True,
        True,
        False,
        False,
    ]


def test_a_topic_that_is_not_granted_is_refused() -> None:
    with pytest.raises(Forbidden, match="events:subscribe"):
        Selection.of(principal("alice", "events:subscribe:a*"), ["ab", "b"])


def test_everything_is_what_is_public_and_granted() -> None:
    selection = Selection.of(principal("alice", "events:subscribe:a*"), [])
    assert selection.matches(entry("ab"))
    assert not selection.matches(entry("b"))
    assert not selection.matches(entry("ab", private=True))


def test_a_private_entry_reaches_who_asks_for_its_topic_and_is_granted_it() -> None:
    selection = Selection.of(principal("alice", "events:subscribe:a*"), ["ab"])
    assert selection.matches(entry("ab", private=True))
