import fnmatch
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eddyline.auth.principal import (
    ANONYMOUS,
    UNRESTRICTED,
    Principal,
    Scope,
    matches,
    parse_scopes,
)
from eddyline.errors import Forbidden


def granted(scopes: str) -> Principal:
    return Principal("alice", 2e9, parse_scopes(scopes))


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("events:publish", Scope("events", "publish")),
        ("*:read", Scope("*", "read")),
        ("events:*:orders/*", Scope("events", "*", "orders/*")),
        ("logs:read:https://x/y:z", Scope("logs", "read", "https://x/y:z")),
    ],
)
def test_a_scope_is_the_inverse_of_its_text(text: str, scope: Scope) -> None:
    assert Scope.parse(text) == scope
    assert str(scope) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "events",
        "events:",
        ":read",
        "events:read:",
        "events:read: ",
        "Events:read",
        "e*:read",
        "events:read:a b",
        "events:read\n",
        "events:read:a\n",
        "https://graph/.default",
    ],
)
def test_what_is_no_scope_is_refused_by_its_text(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        Scope.parse(text)


@pytest.mark.parametrize(
    ("scopes", "service", "action", "resource", "allowed"),
    [
        ("events:publish", "events", "publish", "orders", True),
        ("events:publish", "events", "publish", None, True),
        ("events:publish", "events", "subscribe", "orders", False),
        ("events:publish", "logs", "publish", "orders", False),
        ("events:publish", "eventsx", "publish", None, False),
        ("events:*", "events", "anything", "x", True),
        ("*:read", "logs", "read", "x", True),
        ("*:read", "logs", "write", "x", False),
        ("events:publish:orders/*", "events", "publish", "orders/1/2", True),
        ("events:publish:orders/*", "events", "publish", "orders", False),
        ("events:publish:orders/*", "events", "publish", "xorders/1", False),
        ("events:publish:orders/*", "events", "publish", None, False),
        ("events:publish:*", "events", "publish", None, True),
        ("events:publish:orders", "events", "publish", "orders", True),
        ("events:publish:orders", "events", "publish", "orders2", False),
        ("logs:read:a logs:read:b", "logs", "read", "b", True),
        ("logs:read:a.c", "logs", "read", "abc", False),
        ("logs:read:[ab]", "logs", "read", "a", False),
        ("logs:read:?", "logs", "read", "a", False),
        ("", "logs", "read", "a", False),
        ("openid profile https://graph/.default", "openid", "profile", None, False),
    ],
)
def test_what_a_scope_allows(
    scopes: str, service: str, action: str, resource: str | None, allowed: bool
) -> None:
    principal = granted(scopes)
    assert principal.allows(service, action, resource) is allowed
    if allowed:
        principal.require(service, action, resource)
    else:
        with pytest.raises(Forbidden, match=f"{service}:{action}"):
            principal.require(service, action, resource)


def test_who_is_refused_learns_which_scope_is_missing() -> None:
    with pytest.raises(Forbidden) as caught:
        granted("events:subscribe").require("events", "publish", "orders/1")
    assert caught.value.detail == (
        "the token does not grant events:publish for 'orders/1': it needs the scope"
        " events:publish or events:publish:<a pattern that matches>"
    )


def test_nobody_may_do_nothing_and_everyone_all() -> None:
    assert UNRESTRICTED.allows("logs", "read", "x")
    assert UNRESTRICTED.allows("logs", "read")
    assert not ANONYMOUS.allows("logs", "read", "x")


def test_equal_grants_are_equal_keys() -> None:
    one, two = granted("a:x b:y:z* a:x"), granted("b:y:z*  a:x")
    assert one == two
    assert len({one, two}) == 1
    assert one.scopes is granted("a:x b:y:z* a:x").scopes


def test_the_order_of_grants_makes_no_difference() -> None:
    words = "f:x a:x c:x e:x b:x d:x d:x:2 d:x:1"
    assert [str(scope) for scope in parse_scopes(words)] == sorted(words.split())


@given(st.text("a*b/", max_size=8), st.text("ab/", max_size=12))
@example("ab*ba", "aba")
@example("*a*a*", "a")
def test_a_pattern_means_what_the_shell_means(pattern: str, text: str) -> None:
    assert matches(pattern, text) == fnmatch.fnmatchcase(text, pattern)


@pytest.mark.timeout(10)
def test_a_pattern_of_many_stars_is_quick() -> None:
    # As a backtracking regular expression this takes longer than the universe has been there.
    assert not matches("a*" * 200 + "b", "a" * 10_000)
    assert matches("*a" * 200, "a" * 10_000)
