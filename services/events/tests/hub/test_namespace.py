import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from urlpattern import URLPattern

from eddyline_events.hub.namespace import PATH, is_reserved

WORDS = [
    *("http:", "https:", "HTTPS:", "ftp:", "file:", "foo:", "urn:", ":", "//host", "//", "/", "\\"),
    *("..", ".", "%2e", "%2E", ".well-known", "well-known", "mercure", "%6Dercure", "mer\tcure"),
    *("\n", "?", "#", " ", "@", "%", "%25", "é", "x", f"{PATH}/", PATH),
]

#: It matches every URL, so that it serves as a parser.
ANY_URL = URLPattern({})


@pytest.mark.parametrize(
    "topic",
    [
        *("", "?a", "#a", "mercure", "./mercure/x", "https:mercure", " /.well-known/mercure "),
        *(
            "foo://host/.well-known/mercure",
            "foo:/.well-known/mercure",
            "http:x/.well-known/mercure",
        ),
        *(
            "///host/.well-known/mercure",
            "/.well-known/mercure/x/..",
            "file:///.well-known/mercure",
        ),
    ],
)
def test_a_url_of_the_hubs_own_path_is_reserved_however_it_is_written(topic: str) -> None:
    assert is_reserved(topic)


@pytest.mark.parametrize(
    "topic",
    [
        *("orders/mercure", "urn:/.well-known", "urn:mercure", "foo:.well-known/mercure"),
        *("https://host", "/.well-known/mercurex", "/.well-known/%256Dercure", "//mercure"),
        *("/?/.well-known/mercure", "/.well-known/mercure/..", "foo:\\.well-known\\mercure"),
    ],
)
def test_another_path_is_not(topic: str) -> None:
    assert not is_reserved(topic)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=8).map("".join))
@example("//host/a/%2e%2E/.well-known\\.\\mercure/x")
def test_it_agrees_with_a_parser_of_urls(topic: str) -> None:
    try:
        found = ANY_URL.exec(topic, f"https://hub.example{PATH}")
    except ValueError:
        found = None
    assume(found is not None)
    assert found is not None
    path = found["pathname"]["input"].replace("%6D", "m")
    assert is_reserved(topic) == (path == PATH or path.startswith(f"{PATH}/"))
