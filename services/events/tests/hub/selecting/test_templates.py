"""URI templates: the expansions of RFC 6570, backwards, in linear time."""

import time

import pytest

from eddyline.errors import BadRequest
from eddyline_events.hub.selecting.templates import MAX_TEMPLATE, Template


@pytest.mark.parametrize(
    ("template", "topic"),
    [
        ("*", "anything at all"),
        ("news", "news"),
        ("/books/{id}", "/books/1"),
        ("/books/{id}", "/books/caf%C3%A9"),
        ("/books/{id}", "/books/café"),
        ("/books/{id}", "/books/"),
        ("/books/{id}", "/books/{id}"),
        ("/books/{id}/é", "/books/1/é"),
        ("{a}-{b}", "1-2"),
        ("{x,y}", "1024,768"),
        ("{list}", "red,green,blue"),
        ("{var:3}", "val"),
        ("{a:1,b}", "long"),
        ("{+path}/here", "/foo/bar/here"),
        ("X{#x,hello,y}", "X#1024,Hello%20World!,768"),
        ("X{.list*}", "X.red.green.blue"),
        ("{/var,x}/here", "/value/1024/here"),
        ("{/list*,path:4}", "/red/green/blue/%2Ffoo"),
        ("{;x,y,empty}", ";x=1024;y=768;empty"),
        ("{?x,y}", "?x=1024&y=768"),
        ("{?x,y}", "?y=768"),
        ("{?x,y}", ""),
        ("{?keys*}", "?semi=%3B&dot=.&comma=%2C"),
        ("/a?fixed=yes{&x}", "/a?fixed=yes&x=1024"),
        ("/u/{?topic}", "/u/?topic=https%3A%2F%2Fexample.com%2Fbooks%2F1"),
        ("{un.dotted_%C3%A9}", "x"),
    ],
)
def test_a_topic_that_is_an_expansion_matches(template: str, topic: str) -> None:
    assert Template.parse(template).matches(topic)


@pytest.mark.parametrize(
    ("template", "topic"),
    [
        ("news", "new"),
        ("news", "news "),
        ("a.b", "axb"),
        ("/books/{id}", "/books/1/pages"),
        ("/books/{id}", "/books/1?x"),
        ("/books/{id}", "/books/1\n"),
        ("/books/{id}", "/books/100%"),
        ("/books/{id}", "x/books/1"),
        ("{var:3}", "value"),
        ("{?x,y}", "?y=1&x=2"),
        ("{?x,y}", "?z=1"),
        ("{?x,y}", "?&y=1"),
        ("{/var}", "value"),
        ("{;x}", ";xy"),
    ],
)
def test_another_topic_does_not(template: str, topic: str) -> None:
    assert not Template.parse(template).matches(topic)


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("/a/{id", "a brace has no partner"),
        ("/a/id}", "a brace has no partner"),
        ("{{a}}", "a brace has no partner"),
        ("{}", "'' is not a variable"),
        ("{a,}", "'' is not a variable"),
        ("{a b}", "'a b' is not a variable"),
        ("{=a}", "'=a' is not a variable"),
        ("{a:0}", "'a:0' is not a variable"),
        ("{a:1001}", "a prefix may have 1000"),
        ("{" + ",".join(["a"] * 65) + "}", "64 variables"),
        ("{a:1000}" * 60, "too complex"),
        ("a" * (MAX_TEMPLATE + 1), "4097 characters"),
    ],
)
def test_a_bad_template_is_refused_by_name(template: str, complaint: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        Template.parse(template)
    assert repr(template[:80]) in refusal.value.detail
    assert complaint in refusal.value.detail


def test_equal_templates_are_equal_keys() -> None:
    assert len({Template.parse("/a/{b}"), Template.parse("/a/{b}")}) == 1
    assert Template.parse("/a/{b}") != Template.parse("/a/{c}")


def test_only_a_text_without_variables_is_exact() -> None:
    exact = [Template.parse(text).exact for text in ("news", "/a/{b}", "*")]
    assert exact == [True, False, False]


def test_no_template_makes_a_match_slow() -> None:
    template = Template.parse("{+a}{+b}{+c}{+d}{+e}{+f}{+g}{+h}!")
    began = time.process_time()
    assert not template.matches("a" * 4096)
    # A backtracking engine needs longer than the age of the universe.
    assert time.process_time() - began < 1.0
