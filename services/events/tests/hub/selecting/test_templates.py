"""URI templates: the expansions of RFC 6570, backwards, in linear time."""

import time

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from eddyline.errors import BadRequest
from eddyline_events.hub.selecting import templates
from eddyline_events.hub.selecting.expressions import shape
from eddyline_events.hub.selecting.templates import MAX_TEMPLATE, Template, require_affordable


@st.composite
def expressions(draw: st.DrawFn) -> str:
    operator = draw(st.sampled_from(["", *"+#./;?&"]))
    names = draw(st.lists(st.sampled_from(["x", "yy", "z.z"]), min_size=1, max_size=6))
    variables = [name + draw(st.sampled_from(["", ":1", ":20", "*"])) for name in names]
    return f"{{{operator}{','.join(variables)}}}"


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


HUNGRY = [
    [f"k{n}{{{','.join(f'v{i}:9' for i in range(64))}}}" for n in range(100)],
    [f"k{{?{','.join(f'v{i}*' for i in range(32))}}}{n}" for n in range(100)],
    [f"k{{x:300}}{n}" for n in range(100)],
    ["".join(f"{{a:1}}{i}" for i in range(60)) + str(n) for n in range(100)],
    ["{x}" + "y" * 200 + str(n) for n in range(100)],
]


@pytest.mark.parametrize("texts", HUNGRY)
def test_templates_that_cost_much_together_are_refused_before_they_do(texts: list[str]) -> None:
    """Else four anonymous requests of 39 kB take 6 s and 850 MB for ever."""
    began, before = time.process_time(), set(templates._COMPILED)
    with pytest.raises(BadRequest, match="too complex"):
        require_affordable(texts)
    assert time.process_time() - began < 0.1
    assert set(templates._COMPILED) <= before


def test_templates_that_differ_in_their_prefix_share_what_is_compiled() -> None:
    before = len(templates._COMPILED)
    mine = [Template.parse(f"user/{n}/{{x}}/shared") for n in range(1000)]
    assert len(templates._COMPILED) == before + 1
    require_affordable(template.text for template in mine)
    assert [template.matches("user/7/inbox/shared") for template in mine].count(True) == 1
    del mine
    assert len(templates._COMPILED) == before


@given(expressions(), expressions())
def test_the_cost_is_what_re2_takes(one: str, two: str) -> None:
    found = shape(one + two, "")
    assert re2.compile(found.pattern).programsize <= 1.5 * found.cost


def test_no_template_makes_a_match_slow() -> None:
    template = Template.parse("{+a}{+b}{+c}{+d}{+e}{+f}{+g}{+h}!")
    began = time.process_time()
    assert not template.matches("a" * 4096)
    # A backtracking engine needs longer than the age of the universe.
    assert time.process_time() - began < 1.0
