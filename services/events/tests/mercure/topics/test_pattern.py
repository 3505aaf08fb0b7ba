"""URL patterns: the short way of simple ones agrees with the URL Pattern library."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urlpattern import URLPattern

from eddyline.errors import BadRequest
from eddyline_events.mercure.topics.pattern import Pattern, pattern

BASE = "https://hub.example/.well-known/mercure"

PATTERNS = [
    "/books/:id",
    "/books/:id.json",
    "/books/:a-:b",
    "/books/*",
    "/*/pages/*",
    "*",
    "/",
    "/books",
    "/Books/1",
    "/caf\u00e9/:id",
    "/a%20b/:x",
    "https://example.com/books/:id",
    "https://EXAMPLE.com/books/:id?x=y#z",
    "https://example.com/books/:id?*",
    "http://example.com:80/*",
    "https://example.com:8443/*",
    "https://*.example.com/*",
    "https://example.com",
    "/books{/:id}?",
    "/books/:id(\\d+)",
    "/books/:id*",
    "/books/:id?",
    "/x/**",
    "urn:x:*",
    "*://example.com/*",
    "/a\\*b",
    "https://user:word@example.com/*",
    "https://[\\:\\:1]/*",
    ":id",
]
TOPICS = [
    "/books/1",
    "/books/1.json",
    "/books/a-b",
    "/books/",
    "/books",
    "/books/1/pages/2",
    "/books/1?x=y",
    "/Books/1",
    "/x/../books/1",
    "/caf%C3%A9/1",
    "/caf\u00e9/1",
    "/a b/c",
    "books/1",
    "https://example.com/books/1",
    "https://example.com/books/1?x=y#z",
    "HTTPS://Example.COM/books/1",
    "http://example.com/books/1",
    "https://example.com:8443/books/1",
    "https://a.example.com/books/1",
    "https://user:word@example.com/books/1",
    "https://example.com",
    "https://[::1]/x",
    "urn:x:y",
    "http://[broken",
    "/a*b",
    "",
    "#x",
]


def theirs(text: str, topic: str) -> bool:
    try:
        return URLPattern(text, BASE).test(topic, BASE)
    except ValueError:
        return False


@pytest.mark.parametrize("text", PATTERNS)
def test_both_ways_agree(text: str) -> None:
    mine = pattern(text, BASE)
    for topic in TOPICS:
        assert mine.matches(topic) == theirs(text, topic), topic


_pieces = st.lists(st.sampled_from(["/", "a", "b", ".", "-", ":x", "*", "%20", "!", "$", "_", "?"]))


@given(_pieces, st.lists(st.sampled_from(["/", "a", "b", ".", "-", "%20", "!", "$", "_", "x"])))
def test_both_ways_agree_on_what_nobody_thought_of(parts: list[str], topic: list[str]) -> None:
    text = "/" + "".join(parts)
    try:
        mine = pattern(text, BASE)
    except BadRequest:
        return
    for path in ("/" + "".join(topic), "/" + "".join(parts).replace(":x", "a").replace("*", "b")):
        assert mine.matches(path) == theirs(text, path), path


def test_what_is_simple_keeps_no_compiled_pattern() -> None:
    kept = [text for text in PATTERNS if pattern(text, BASE)._whole is not None]
    assert {"/books/:id", "/books/*", "https://example.com/books/:id", "*"}.isdisjoint(kept)
    assert {"/books/:id*", "/books/:id?", "/x/**", "/books/:id(\\d+)"} <= set(kept)


def test_equal_patterns_are_one() -> None:
    assert isinstance(pattern("/a/:b", BASE), Pattern)
    assert pattern("/a/:b", BASE) is pattern("/a/:b", BASE)
