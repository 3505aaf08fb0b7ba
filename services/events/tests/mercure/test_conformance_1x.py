"""The rules of the Mercure protocol, revision 1.0 (draft-dunglas-mercure-08), one test each.

The docstring names the section. Streams are tested on our server and on plain uvicorn; rules that
end in one answer on hubs that stand for all tests.
"""

import time
from urllib.parse import urlencode

import jwt
import orjson
import pytest

from eddyline.testing import eventually, fetch

BOOK = "https://example.com/books/1"
BOOKS = "https://example.com/books/:id"
FORM = "application/x-www-form-urlencoded"
SUBSCRIPTIONS = "/.well-known/mercure/subscriptions"
METADATA = "/.well-known/oauth-protected-resource/.well-known/mercure"

EVERYTHING = ("publish subscribe", ["*"])


def pattern(text: str) -> dict[str, str]:
    return {"match": text, "match_type": "urlpattern"}


# Subscription


async def test_a_subscriber_selects_by_any_combination_of_matchers(hub, mercure):
    """Subscription: `match`, `match_exact`, `match_urlpattern`."""
    stream = await mercure.subscribe(
        hub, ("match", "foo"), ("match_exact", "bar"), ("match_urlpattern", BOOKS)
    )
    for topic in ("foo", "other", "bar", BOOK):
        await mercure.publish(hub, topic, topic)
    assert [e.data for e in await stream.events(3)] == ["foo", "bar", BOOK]


async def test_an_update_that_several_matchers_select_comes_once(hub, mercure):
    """Subscription: at least one topic matcher."""
    stream = await mercure.subscribe(hub, ("match", BOOK), ("match_urlpattern", BOOKS))
    await mercure.publish(hub, BOOK, "once")
    await mercure.publish(hub, BOOK, "next")
    assert [e.data for e in await stream.events(2)] == ["once", "next"]


@pytest.mark.parametrize(
    "name", ["match_regexp", "matches", "Match", "MATCH_EXACT", "match-exact", "match_", "match[]"]
)
async def test_the_whole_match_namespace_is_reserved(standing, mercure, name):
    """Subscription: case-sensitive names, compared without case for the reservation."""
    async with await mercure.get(standing, ("match", "a"), (name, "b")) as answer:
        assert answer.status == 400
        assert repr(name) in (await answer.json())["detail"]


async def test_other_unknown_parameters_are_no_error(hub, mercure):
    """Subscription."""
    stream = await mercure.subscribe(hub, ("match", "a"), ("color", "red"))
    await mercure.publish(hub, "a", "x")
    assert (await stream.event()).data == "x"


async def test_a_subscription_without_matcher_is_a_bad_request(hub, mercure):
    """Subscription."""
    async with await mercure.get(hub, ("last_event_id", "earliest")) as answer:
        assert answer.status == 400


@pytest.mark.parametrize("name", ["match", "match_urlpattern"])
@pytest.mark.parametrize("value", ["a\nb", "a\0b", "a\x7fb", "a\x85b", "a\u200bb", "a\u202eb"])
async def test_a_matcher_holds_no_control_or_format_character(standing, mercure, name, value):
    """Subscription: C0, DEL, C1, Cf."""
    async with await mercure.get(standing, (name, value)) as answer:
        assert answer.status == 400


async def test_a_matcher_is_utf8(standing, mercure):
    """Subscription."""
    for query in ("match=%FF", "match=%C3"):
        async with await fetch(f"{standing.url}{mercure.path}?{query}") as answer:
            assert answer.status == 400


@pytest.mark.parametrize("value", ["https://example.com/(", "/books/:", "{", "/(?<a>x)", "+"])
async def test_a_malformed_url_pattern_is_a_bad_request(standing, mercure, value):
    """Subscription."""
    async with await mercure.get(standing, ("match_urlpattern", value)) as answer:
        assert answer.status == 400
        assert repr(value) in (await answer.json())["detail"]


@pytest.mark.parametrize(
    "matchers",
    [
        [("match", str(n)) for n in range(101)],
        [("match", "x" * 4097)],
        [("match_urlpattern", "/" + "x" * 2048)],
        [("match_urlpattern", f"/{n}" + "x" * 2000) for n in range(10)],
        [("match_urlpattern", "/(" + r"\w" * 100 + ")")],
        [("match_urlpattern", r"/((?:\w{100}){10})")],
    ],
)
async def test_a_request_over_the_hubs_limits_is_a_bad_request(standing_of, mercure, matchers):
    """Subscription: numbers and lengths; URL Pattern Denial of Service."""
    async with standing_of(target_bytes=30_000) as hub, await mercure.get(hub, *matchers) as answer:
        assert answer.status == 400


async def test_too_many_connections_are_refused(hub_of, mercure):
    """Subscription: 429, where that does not end an EventSource for good."""
    async with hub_of(limit_streams=1) as hub:
        inside = await mercure.subscribe(hub, ("match", "a"))
        async with await mercure.get(hub, ("match", "a")) as answer:
            assert answer.status == 429
        async with await mercure.get(hub, ("match", "a"), Accept="text/event-stream") as soft:
            assert soft.status == 200
            assert await soft.events() == []
        await inside.close()


async def test_the_query_method_takes_matchers_from_its_body(hub, mercure):
    """Subscription: `QUERY` (RFC 10008), united with the query component."""
    first = await mercure.publish(hub, "a", "before")
    await mercure.publish(hub, "b", "missed")
    body = urlencode([("match", "a"), ("match", "b"), ("last_event_id", "earliest")]).encode()
    stream = await fetch(
        f"{hub.url}{mercure.path}?{urlencode([('match', 'c'), ('last_event_id', first)])}",
        method="QUERY",
        headers={"Content-Type": FORM},
        body=body,
    )
    async with stream:
        assert stream.status == 200
        assert stream.headers["mercure-last-event-id"] == first  # the query component's
        assert (await stream.event()).data == "missed"
        for topic in "abcd":
            await mercure.publish(hub, topic, topic)
        assert [e.data for e in await stream.events(3)] == ["a", "b", "c"]


async def test_the_rules_hold_for_the_body_of_a_query_too(standing, mercure):
    """Subscription: the reserved namespace and the constraints."""
    for body in (b"match=a&matches=b", b"match=%00", b"match=%FF", b"color=red"):
        async with await fetch(
            standing.url + mercure.path, method="QUERY", headers={"Content-Type": FORM}, body=body
        ) as answer:
            assert answer.status == 400


async def test_both_revisions_are_spoken_on_one_endpoint(hub, mercure):
    """Of this hub: clients of either get the updates of clients of both."""
    both = await mercure.subscribe(hub, ("topic", "a/{b}"), ("match", "c"))
    await mercure.publish(hub, "a/b", "1")
    await mercure.publish(hub, "c", "2")
    assert [e.data for e in await both.events(2)] == ["1", "2"]


# Matcher Types


@pytest.mark.parametrize("name", ["match", "match_exact", "match_urlpattern"])
async def test_the_star_matches_every_topic_whatever_the_type(hub, mercure, name):
    """Matcher Types."""
    stream = await mercure.subscribe(hub, (name, "*"))
    for topic in (BOOK, "plain", "http://[broken"):
        await mercure.publish(hub, topic, topic)
    assert [e.data for e in await stream.events(3)] == [BOOK, "plain", "http://[broken"]


async def test_exact_is_byte_for_byte(hub, mercure):
    """Exact Matching: no case folding, no resolution, no normalization, no pattern."""
    stream = await mercure.subscribe(hub, ("match", BOOKS), ("match", "/a"), ("match", "café"))
    near = (BOOK, "/A", "/a/", "/x/../a", "http://127.0.0.1/a", "cafe\u0301", "caf%C3%A9")
    for topic in (*near, BOOKS, "/a", "café"):
        await mercure.publish(hub, topic, topic)
    assert [e.data for e in await stream.events(3)] == [BOOKS, "/a", "café"]


@pytest.mark.parametrize(
    ("matcher", "topic", "matched"),
    [
        (BOOKS, BOOK, True),
        (BOOKS, "https://EXAMPLE.com/books/1", True),  # hosts have no case
        (BOOKS, "https://example.com/Books/1", False),  # paths have
        (BOOKS, "https://example.com/books/1/2", False),
        (BOOKS, "http://example.com/books/1", False),
        ("https://*.example.com/*", "https://a.b.example.com/c/d?e#f", True),
        ("https://*.example.com/*", "https://a.b.example.com/c/d", True),
        ("/books/:id", "/books/1", True),
        ("/books/:id", "https://hub.example/books/1", True),
        ("https://hub.example/books/:id", "/books/1", True),
        ("/books/:id", BOOK, False),
        ("/books/:id(\\d+)", "/books/12", True),
        ("/books/:id(\\d+)", "/books/a", False),
        ("/books{/:id}?", "/books", True),
        ("/*", "http://[broken", False),  # no URL: no URL pattern matches it
    ],
)
@pytest.mark.parametrize("hub_of", ["detached"], indirect=True)
async def test_url_patterns_match_urls(hub_of, mercure, matcher, topic, matched):
    """URL Pattern: relative patterns and topics are resolved against the hub's URL."""
    async with hub_of(mercure_url=mercure.url) as hub:
        stream = await mercure.subscribe(hub, ("match_urlpattern", matcher), ("match", "end"))
        await mercure.publish(hub, topic, "it")
        await mercure.publish(hub, "end", "end")
        assert (await stream.event()).data == ("it" if matched else "end")


async def test_no_url_pattern_is_slow(hub, mercure):
    """URL Pattern: linear-time matching, or a limit."""
    stream = await mercure.subscribe(hub, ("match_urlpattern", "/(a+)+*b"), ("match", "end"))
    began = time.process_time()
    await mercure.publish(hub, "/" + "a" * 4000, "no")
    await mercure.publish(hub, "end", "end")
    assert (await stream.event()).data == "end"
    assert time.process_time() - began < 2


# Publication


async def test_a_publication_is_answered_200_text_plain_and_its_id(hub, mercure):
    """Publication: an IRI where the hub generates it."""
    stream = await mercure.subscribe(hub, ("match", "a"))
    answer, id = await mercure.post(hub, ("topic", "a"), ("data", "x"))
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert id.startswith("urn:uuid:")
    assert (await stream.event()).id == id


async def test_an_update_needs_a_topic(standing, mercure):
    """Publication, `topic`."""
    await mercure.refused(standing, 400, ("data", "x"))


@pytest.mark.parametrize(
    "topic",
    [
        "*",
        "/.well-known/mercure",
        "/.well-known/mercure/subscriptions/exact/a/b",
        "https://hub.example/.well-known/mercure/x",
        "https://other.example/.well-known/mercure/x",  # regardless of authority
        "ftp://other.example/.well-known/mercure/x",  # and of scheme
        "/.well-known/%6Dercure/x",
        "/.well-known/%6dercure/x",
        "/%2Ewell-known/mercure/x",
        "/.well-known/mercure/../mercure/x",
        "/a/../.well-known/./mercure",
        "/a/%2e%2e/.well-known/mercure",
        "\\.well-known\\mercure\\x",
        "//other.example/.well-known/mercure",
        "mercure/x",  # relative to the hub's URL
        "?query",
        "",
    ],
)
async def test_no_topic_is_in_the_hubs_own_namespace(standing_of, mercure, topic):
    """Publication, `topic`; Reserved Hub Namespace."""
    async with standing_of(mercure_url=mercure.url) as hub:
        await mercure.refused(hub, 400, ("topic", topic))
        await mercure.refused(hub, 400, ("topic", "a"), ("topic", topic))  # an alternate one


@pytest.mark.parametrize(
    "topic",
    ["/.well-known/mercury", "/x/.well-known/mercure", "/.well-known/mercurex", "http://[broken"],
)
async def test_what_is_near_the_namespace_may_be_published(hub, mercure, topic):
    """Publication, `topic`: the path itself, or one that begins with it and a slash."""
    stream = await mercure.subscribe(hub, ("match", topic))
    await mercure.publish(hub, topic, "x")
    assert (await stream.event()).data == "x"


@pytest.mark.parametrize("field", ["topic", "id", "type"])
@pytest.mark.parametrize(
    "character", ["\n", "\r", "\0", "\x1f", "\x7f", "\x9f", "\u200b", "\u202e"]
)
async def test_no_control_or_format_character_gets_in(standing, mercure, field, character):
    """Publication; Server-Sent Events Field Injection (trap 6)."""
    fields = {"topic": "a", field: f"x{character}y"}
    await mercure.refused(standing, 400, *fields.items())


@pytest.mark.parametrize("id", ["#1", "earliest"])
async def test_an_id_that_is_the_hubs_is_refused(standing, mercure, id):
    """Publication, `id`."""
    await mercure.refused(standing, 400, ("topic", "a"), ("id", id))


async def test_the_type_mercure_is_the_hubs(standing, mercure):
    """Publication, `type`."""
    await mercure.refused(standing, 400, ("topic", "a"), ("type", "mercure"))


@pytest.mark.parametrize("retry", ["1s", "-1", "+1", "1.5", " 1", "\u0661"])
async def test_retry_is_ascii_digits(standing, mercure, retry):
    """Publication, `retry`."""
    await mercure.refused(standing, 400, ("topic", "a"), ("retry", retry))


async def test_data_is_utf8_and_one_field_a_line(hub, mercure):
    """Publication, `data`: CR, LF and CRLF end a line."""
    await mercure.refused(hub, 400, body=b"topic=a&data=%FF")
    stream = await mercure.subscribe(hub, ("match", "a"))
    await mercure.publish(hub, "a", " a\r\nevent: b\rid: c\n\n漢")
    event = await stream.event()
    assert (event.event, event.data) == ("message", " a\nevent: b\nid: c\n\n漢")


@pytest.mark.parametrize(
    "fields",
    [
        [("topic", "x" * 4097)],
        [("topic", str(n)) for n in range(1001)],
        [("topic", "a"), ("id", "x" * 1025)],
        [("topic", "a"), ("type", "x" * 257)],
        [("topic", "a"), ("retry", "1" * 16)],
        [("topic", "a"), ("data", "x" * 300_000)],
        [("topic", "a"), ("color", "x" * 800_000)],
        [("topic", "a"), *[("x", "")] * 4096],
    ],
)
async def test_an_update_over_the_hubs_limits_is_too_large(standing, mercure, fields):
    """Publication: 413."""
    await mercure.refused(standing, 413, *fields)


# Presenting the Access Token


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_of_the_authorization_header_has_no_case(standing_of, mercure, scheme):
    """Authorization HTTP Header."""
    token = mercure.token_1x(EVERYTHING)
    async with standing_of(**mercure.secured) as hub:
        answer, _ = await mercure.post(
            hub, ("topic", "a"), headers={"Authorization": f"{scheme} {token}"}
        )
        assert answer.status == 200


async def test_a_browser_may_present_the_token_in_a_cookie(hub_of, mercure):
    """Cookie: `__Secure-mercure_access_token`."""
    async with hub_of(**mercure.secured) as hub:
        token = mercure.token_1x(EVERYTHING)
        cookie = f"__Secure-mercure_access_token={token}"
        stream = await mercure.subscribe(hub, ("match", "a"), Cookie=cookie)
        await mercure.publish(hub, "a", "x", private="on", token=token)
        assert (await stream.event()).data == "x"


async def test_the_header_beats_the_cookie(standing_of, mercure):
    """Presenting the Access Token: the cookie is ignored, not an error."""
    async with standing_of(**mercure.secured) as hub:
        cookie = {"Cookie": "__Secure-mercure_access_token=nonsense"}
        answer, _ = await mercure.post(
            hub, ("topic", "a"), token=mercure.token_1x(EVERYTHING), headers=cookie
        )
        assert answer.status == 200
        good = f"__Secure-mercure_access_token={mercure.token_1x(EVERYTHING)}"
        async with await mercure.get(hub, ("match", "a"), token="no.good.one", Cookie=good) as bad:
            assert bad.status == 401


@pytest.mark.parametrize("name", ["access_token", "authorization"])
async def test_no_access_token_is_taken_from_the_query(standing_of, mercure, name):
    """Presenting the Access Token (RFC 9700)."""
    async with standing_of(**mercure.secured | {"anonymous": False}) as hub:
        token = mercure.token_1x(EVERYTHING)
        async with await mercure.get(hub, ("match", "a"), (name, token)) as answer:
            assert answer.status == 401


async def test_a_publication_by_cookie_comes_from_a_trusted_page(standing_of, mercure):
    """Security Considerations: CSRF."""
    async with standing_of(**mercure.secured, cors_origins=["https://app.example"]) as hub:
        cookie = {"Cookie": f"__Secure-mercure_access_token={mercure.token_1x(EVERYTHING)}"}
        for origin, status in [
            ({"Origin": "https://app.example"}, 200),
            ({"Referer": "https://app.example/x"}, 200),
            ({"Origin": "https://evil.example"}, 403),
            ({}, 403),
        ]:
            answer, _ = await mercure.post(hub, ("topic", "a"), headers=cookie | origin)
            assert answer.status == status


# Error Responses


async def challenge(answer) -> str:
    value = answer.headers["www-authenticate"]
    assert value.startswith("Bearer ")
    assert f'resource_metadata="https://hub.example{METADATA}"' in value
    return value


async def test_without_a_token_the_challenge_has_no_error_code(standing_of, mercure):
    """Error Responses: 401."""
    async with standing_of(**mercure.secured) as hub:
        answer, _ = await mercure.post(hub, ("topic", "a"))
        assert answer.status == 401
        assert "error=" not in await challenge(answer)


async def test_a_token_that_fails_is_an_invalid_token(standing_of, mercure):
    """Error Responses: 401 `invalid_token` for every failure."""
    async with standing_of(**mercure.secured) as hub:
        for token in ("nonsense", mercure.token_1x(EVERYTHING, key="s" * 32)):
            answer, _ = await mercure.post(hub, ("topic", "a"), token=token)
            assert answer.status == 401
            assert 'error="invalid_token"' in await challenge(answer)


async def test_a_token_that_does_not_grant_it_has_insufficient_scope(standing_of, mercure):
    """Error Responses: 403."""
    async with standing_of(**mercure.secured) as hub:
        token = mercure.token_1x(("publish", ["b"]))
        answer, _ = await mercure.post(hub, ("topic", "a"), token=token)
        assert answer.status == 403
        assert 'error="insufficient_scope"' in await challenge(answer)


async def test_a_malformed_presentation_is_an_invalid_request(standing_of, mercure):
    """Error Responses: 400."""
    async with standing_of(**mercure.secured) as hub:
        answer, _ = await mercure.post(hub, ("topic", "a"), headers={"Authorization": "Bearer"})
        assert answer.status == 400
        assert 'error="invalid_request"' in await challenge(answer)


async def test_a_bad_request_without_fault_of_the_token_has_no_challenge(standing_of, mercure):
    """Error Responses: a problem document (RFC 9457)."""
    async with standing_of(**mercure.secured) as hub:
        answer, _ = await mercure.post(hub, ("data", "x"), token=mercure.token_1x(EVERYTHING))
        assert answer.status == 400
        assert answer.headers["content-type"] == "application/problem+json"
        assert "www-authenticate" not in answer.headers


# Token Validation


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+jwt"])
async def test_the_type_of_an_access_token_may_be_written_in_two_ways(standing_of, mercure, typ):
    """Token Validation: `typ`."""
    async with standing_of(**mercure.secured) as hub:
        token = mercure.token_1x(EVERYTHING, typ=typ)
        await mercure.publish(hub, "a", "x", token=token)


@pytest.mark.parametrize("typ", ["JWT", None])
async def test_a_token_of_another_type_grants_no_authorization_details(standing_of, mercure, typ):
    """Token Validation: an ID token is none; without audience it is one of revision 0.x."""
    async with standing_of(**mercure.secured) as hub:
        token = mercure.token_1x(EVERYTHING, typ=typ)
        await mercure.refused(hub, 401, ("topic", "a"), token=token)
        token = mercure.token_1x(EVERYTHING, typ=typ, aud=...)
        await mercure.refused(hub, 403, ("topic", "a"), token=token)


@pytest.mark.parametrize("typ", ["id+jwt", "at+jwt2", "dpop+jwt", "logout+jwt"])
async def test_a_token_of_a_foreign_type_is_none_of_either_revision(standing_of, mercure, typ):
    """Token Validation; RFC 8725 section 3.11."""
    async with standing_of(**mercure.secured) as hub:
        token = mercure.token_1x(EVERYTHING, typ=typ, aud=...)
        await mercure.refused(hub, 401, ("topic", "a"), token=token)


async def test_an_access_token_gets_nothing_by_the_claim_of_0x(standing_of, mercure):
    """Token Validation: the type decides which rules hold, in full."""
    async with standing_of(**mercure.secured) as hub:
        token = mercure.token_1x(mercure={"publish": ["*"]})
        await mercure.refused(hub, 403, ("topic", "a"), token=token)


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": ...},
        {"exp": None},
        {"exp": 1},
        {"nbf": 99_999_999_999},
        {"aud": ...},
        {"aud": "https://other.example/.well-known/mercure"},
        {"aud": "https://hub.example"},
        {"aud": []},
        {"iss": ...},
        {"iss": "https://issuer.example/"},
        {"iss": "https://stranger.example"},
    ],
)
async def test_expiry_audience_and_issuer_are_enforced(standing_of, mercure, changed):
    """Token Validation: `exp`, `nbf`, `aud`, `iss`."""
    async with standing_of(**mercure.secured) as hub:
        token = mercure.token_1x(EVERYTHING, **changed)
        answer, _ = await mercure.post(hub, ("topic", "a"), token=token)
        assert answer.status == 401
        assert 'error="invalid_token"' in await challenge(answer)


async def test_the_audience_may_be_a_list(standing_of, mercure):
    """Token Validation: `aud`."""
    async with standing_of(**mercure.secured) as hub:
        token = mercure.token_1x(EVERYTHING, aud=["https://x.example", mercure.url])
        await mercure.publish(hub, "a", "x", token=token)


async def test_claims_that_only_issuers_need_are_not_asked_for(standing_of, mercure):
    """Token Validation: `sub`, `client_id`, `iat` and `jti` are the issuer's obligations."""
    async with standing_of(**mercure.secured) as hub:
        claims = jwt.decode(mercure.token_1x(EVERYTHING), options={"verify_signature": False})
        assert set(claims) == {"iss", "aud", "exp", "authorization_details"}
        await mercure.publish(hub, "a", "x", token=mercure.token_1x(EVERYTHING))


@pytest.mark.parametrize("alg", ["none", "HS384", "HS512"])
async def test_the_algorithm_is_the_keys_never_the_tokens(standing_of, mercure, alg):
    """Token Validation: an allow-list, no `none`, no confusion."""
    async with standing_of(**mercure.secured) as hub:
        claims = jwt.decode(mercure.token_1x(EVERYTHING), options={"verify_signature": False})
        key = None if alg == "none" else mercure.key * 2
        token = jwt.encode(claims, key, alg, {"typ": "at+jwt"})
        await mercure.refused(hub, 401, ("topic", "a"), token=token)


async def test_no_key_is_taken_from_the_token(standing_of, mercure):
    """Token Validation: `jwk`, `jku`, `x5u`."""
    async with standing_of(**mercure.secured) as hub:
        claims = jwt.decode(mercure.token_1x(EVERYTHING), options={"verify_signature": False})
        secret = "s" * 32
        header = {"typ": "at+jwt", "jwk": {"kty": "oct", "k": "c3Nzc3Nz"}, "jku": hub.url}
        token = jwt.encode(claims, secret, "HS256", header)
        await mercure.refused(hub, 401, ("topic", "a"), token=token)


async def test_a_hub_that_knows_no_resource_or_issuer_takes_no_access_token(standing_of, mercure):
    """Token Validation: hubs must be configured with both."""
    for missing in ("mercure_url", "auth_issuer"):
        settings = {name: v for name, v in mercure.secured.items() if name != missing}
        async with standing_of(**settings) as hub:
            token = mercure.token_1x(EVERYTHING)
            assert "EVENTS_MERCURE_URL" in await mercure.refused(
                hub, 401, ("topic", "a"), token=token
            )


# Authorization Details


@pytest.mark.parametrize(
    "change",
    [
        {"actions": None},
        {"actions": []},
        {"actions": "publish"},
        {"actions": ["publish", 1]},
        {"topics": None},
        {"topics": []},
        {"topics": {"match": "*"}},
        {"topics": ["*"]},
        {"topics": [{"match": "*"}, {}]},
        {"topics": [{"match": "*"}, {"match": 1}]},
        {"topics": [{"match": "*"}, {"match": "a", "match_type": "regexp"}]},
        {"topics": [{"match": "*"}, {"match": "a", "match_type": "Exact"}]},
        {"topics": [{"match": "*"}, {"match": "a", "match_type": None}]},
        {"topics": [{"match": "*"}, {"match": "a\nb"}]},
        {"topics": [{"match": "*"}, {"match": "/(", "match_type": "urlpattern"}]},
        {"topics": [{"match": "*"}, {"match": "x" * 4097}]},
        {"topics": [{"match": str(n)} for n in range(1001)]},
        {"payload": "text"},
        {"payload": None},
    ],
)
async def test_one_malformed_detail_makes_the_token_invalid(standing_of, mercure, change):
    """Authorization Details, Topic Matcher List: no partial acceptance."""
    async with standing_of(**mercure.secured) as hub:
        bad = mercure.detail("publish", ["*"]) | change
        answer, body = await mercure.post(
            hub, ("topic", "a"), token=mercure.token_1x(EVERYTHING, bad)
        )
        assert answer.status == 401, body
        assert 'error="invalid_token"' in await challenge(answer)


@pytest.mark.parametrize("details", [{}, "x", 7, ["x"], [None]])
async def test_details_of_another_shape_make_the_token_invalid(standing_of, mercure, details):
    """Authorization Details (RFC 9396): an array of objects."""
    async with standing_of(**mercure.secured) as hub:
        token = mercure.token_1x(authorization_details=details)
        await mercure.refused(hub, 401, ("topic", "a"), token=token)


async def test_too_many_details_make_the_token_invalid(standing_of, mercure):
    """Authorization Details: implementation-defined maximums."""
    async with standing_of(**mercure.secured) as hub:
        token = mercure.token_1x(*[EVERYTHING] * 101)
        await mercure.refused(hub, 401, ("topic", "a"), token=token)


async def test_unknown_actions_grant_nothing_and_harm_nothing(standing_of, mercure):
    """Authorization Details."""
    async with standing_of(**mercure.secured) as hub:
        token = mercure.token_1x(("dance", ["*"]), ("sing publish", ["a"]))
        await mercure.publish(hub, "a", "x", token=token)
        await mercure.refused(hub, 403, ("topic", "b"), token=token)


async def test_details_of_other_types_are_none_of_the_hubs(standing_of, mercure):
    """Authorization Details: a token without any of Mercure's grants nothing."""
    async with standing_of(**mercure.secured) as hub:
        other = {"type": "payment", "actions": 1}
        token = mercure.token_1x(other, mercure.detail(*EVERYTHING) | {"type": "HTTPS://x"})
        await mercure.refused(hub, 403, ("topic", "a"), token=token)
        await mercure.publish(hub, "a", "x", token=mercure.token_1x(other, EVERYTHING))
        await mercure.refused(
            hub, 403, ("topic", "a"), token=mercure.token_1x(authorization_details=...)
        )


# Publishers, Subscribers


async def test_a_publisher_is_granted_every_topic_or_nothing_is_dispatched(hub_of, mercure):
    """Publishers: canonical and alternate alike; by different details, too."""
    async with hub_of(**mercure.secured) as hub:
        stream = await mercure.subscribe(hub, ("match", "*"))
        token = mercure.token_1x(("publish", ["a"]), ("publish", [pattern(BOOKS)]))
        await mercure.refused(hub, 403, ("topic", "a"), ("topic", "b"), token=token)
        _, id = await mercure.post(hub, ("topic", "a"), ("topic", BOOK), token=token)
        assert (await stream.event()).id == id


async def test_a_private_update_reaches_only_who_is_granted_one_of_its_topics(hub_of, mercure):
    """Subscribers: matchers select, and never widen the grants."""
    async with hub_of(**mercure.secured) as hub:
        books = ("match_urlpattern", BOOKS)
        one = await mercure.subscribe(hub, books, token=mercure.token_1x(("subscribe", [BOOK])))
        mine = [pattern("https://example.com/users/42/*")]
        user = await mercure.subscribe(hub, books, token=mercure.token_1x(("subscribe", mine)))
        writer = await mercure.subscribe(hub, books, token=mercure.token_1x(("publish", ["*"])))
        anonymous = await mercure.subscribe(hub, books)
        token = mercure.token_1x(EVERYTHING)
        for topics in ([BOOK], [BOOK[:-1] + "2"], [BOOK[:-1] + "3", f"{BOOK[:-8]}/users/42/3"]):
            fields = [("topic", topic) for topic in topics]
            await mercure.post(hub, *fields, ("data", topics[0]), ("private", "on"), token=token)
        await mercure.publish(hub, BOOK, "open", token=token)
        assert [e.data for e in await one.events(2)] == [BOOK, "open"]
        assert (await user.event()).data in (BOOK[:-1] + "3", "open")
        for stream in (writer, anonymous):
            assert (await stream.event()).data == "open"


async def test_a_grant_of_an_alternate_topic_is_enough(hub_of, mercure):
    """Subscribers: authorization is of an update's topics as a whole."""
    async with hub_of(**mercure.secured) as hub:
        mine = [pattern("https://example.com/users/42/*")]
        stream = await mercure.subscribe(
            hub, ("match_urlpattern", BOOKS), token=mercure.token_1x(("subscribe", mine))
        )
        alternate = "https://example.com/users/42/books/1"
        for n, topics in enumerate([[BOOK], [alternate], [BOOK, alternate]]):
            fields = [("topic", topic) for topic in topics]
            await mercure.post(
                hub,
                *fields,
                ("data", str(n)),
                ("private", ""),
                token=mercure.token_1x(EVERYTHING),
            )
        assert (await stream.event()).data == "2"


async def test_the_connection_is_closed_when_the_token_expires(hub_of, mercure):
    """Subscribers: no later than `exp`."""
    async with hub_of(**mercure.secured) as hub:
        token = mercure.token_1x(EVERYTHING, exp=time.time() + 1.5)
        stream = await mercure.subscribe(hub, ("match", "a"), token=token)
        assert await stream.events() == []
        assert stream.clean


async def test_a_hub_may_require_that_subscribers_present_a_token(hub_of, mercure):
    """Authorization."""
    async with hub_of(**mercure.secured | {"anonymous": False}) as hub:
        async with await mercure.get(hub, ("match", "a")) as answer:
            assert answer.status == 401
            assert "error=" not in await challenge(answer)
        await mercure.subscribe(hub, ("match", "a"), token=mercure.token_1x())


# Reconnection, State Reconciliation, and Event Sourcing


@pytest.mark.parametrize("way", ["header", "parameter"])
async def test_a_subscriber_resumes_after_the_event_that_it_names(hub, mercure, way):
    """Reconciliation: `Last-Event-ID`, `last_event_id`; `Mercure-Last-Event-ID` answers."""
    ids = [await mercure.publish(hub, "ab"[n % 2], str(n)) for n in range(6)]
    if way == "header":
        stream = await mercure.subscribe(hub, ("match", "a"), Last_Event_ID=ids[1])
    else:
        stream = await mercure.subscribe(hub, ("match", "a"), ("last_event_id", ids[1]))
    assert stream.headers["mercure-last-event-id"] == ids[1]
    assert [e.data for e in await stream.events(2)] == ["2", "4"]


async def test_the_header_takes_precedence(hub, mercure):
    """Reconciliation (trap 7)."""
    ids = [await mercure.publish(hub, "a", str(n)) for n in range(3)]
    stream = await mercure.subscribe(
        hub, ("match", "a"), ("last_event_id", ids[0]), Last_Event_ID=ids[1]
    )
    assert stream.headers["mercure-last-event-id"] == ids[1]
    assert (await stream.event()).data == "2"


@pytest.mark.parametrize("id", ["earliest", "urn:uuid:nobodys"])
async def test_earliest_answers_where_no_event_precedes(hub, mercure, id):
    """Reconciliation: also for an event that does not exist; said in the stream, too."""
    await mercure.publish(hub, "a", "0")
    stream = await mercure.subscribe(hub, ("match", "a"), ("last_event_id", id))
    assert stream.headers["mercure-last-event-id"] == "earliest"
    first = await stream.event()
    assert first.event == ("message" if id == "earliest" else "eddyline.reset")


async def test_the_response_names_an_event_only_where_the_request_did(hub, mercure):
    """Reconciliation: the `Mercure-Last-Event-ID` response field."""
    stream = await mercure.subscribe(hub, ("match", "a"))
    assert "mercure-last-event-id" not in stream.headers
    empty = await mercure.subscribe(hub, ("match", "a"), Last_Event_ID="")
    assert empty.headers["mercure-last-event-id"] == "earliest"


async def test_an_id_that_is_used_twice_means_the_first_event(hub, mercure):
    """Reconciliation: and the later one is sent with the rest (trap 10)."""
    given = ["twice", "between", "twice"]
    _, _, later = [await mercure.publish(hub, "a", str(n), id=id) for n, id in enumerate(given)]
    stream = await mercure.subscribe(hub, ("match", "a"), Last_Event_ID="twice")
    assert [(e.id, e.data) for e in await stream.events(2)] == [("between", "1"), (later, "2")]


async def test_authorization_is_evaluated_anew_on_replay(hub_of, mercure):
    """Reconciliation: against the current token, not the one at publication (trap 9)."""
    async with hub_of(**mercure.secured) as hub:
        token = mercure.token_1x(EVERYTHING)
        await mercure.publish(hub, "a", "secret", private="on", id="urn:x:s", token=token)
        await mercure.publish(hub, "a", "open", token=token)
        query = ("last_event_id", "earliest")
        reader = mercure.token_1x(("subscribe", ["a"]))
        granted = await mercure.subscribe(hub, ("match", "a"), query, token=reader)
        assert [e.data for e in await granted.events(2)] == ["secret", "open"]
        other = mercure.token_1x(("subscribe", ["b"]))
        for token in (other, None):
            stream = await mercure.subscribe(hub, ("match", "a"), query, token=token)
            assert (await stream.event()).data == "open"
            stranger = await mercure.subscribe(
                hub, ("match", "a"), token=token, Last_Event_ID="urn:x:s"
            )
            assert stranger.headers["mercure-last-event-id"] == "earliest"


# Active Subscriptions


@pytest.fixture
def watched(mercure):
    return mercure.secured | {"mercure_subscriptions": True}


async def test_a_subscription_is_announced_when_it_is_created_and_terminated(
    hub_of, mercure, watched
):
    """Subscription Events, Payloads: one for each matcher; the SSE event is `mercure`."""
    async with hub_of(**watched) as hub:
        everywhere = ("match_urlpattern", SUBSCRIPTIONS + "/:type/:match/:subscriber")
        reader = mercure.token_1x(("subscribe", [pattern(everywhere[1])]))
        watcher = await mercure.subscribe(hub, everywhere, token=reader)
        assert orjson.loads((await watcher.event()).data)["match"] == everywhere[1]
        token = mercure.token_1x(
            ("publish", ["*"]),
            ("subscribe", [pattern(BOOKS)], {"first": 1}),
            ("subscribe", [pattern("https://example.com/*")], {"masked": 2}),
            ("subscribe", ["*"], {"default": 3}),
        )
        other = await mercure.subscribe(
            hub, ("match_urlpattern", BOOKS), ("match", "50% a/b"), token=token
        )
        events = await watcher.events(2)
        opened = [orjson.loads(e.data) for e in events]
        subscriber = opened[0]["subscriber"]
        assert subscriber.startswith("urn:uuid:")
        assert opened[0] == {
            "id": f"{SUBSCRIPTIONS}/urlpattern/https%3A%2F%2Fexample.com%2Fbooks%2F%3Aid/"
            + subscriber.replace(":", "%3A"),
            "type": "subscription",
            "match_type": "urlpattern",
            "match": BOOKS,
            "subscriber": subscriber,
            "active": True,
            "payload": {"first": 1},
        }
        assert opened[1]["id"].startswith(f"{SUBSCRIPTIONS}/exact/50%25%20a%2Fb/urn%3A")
        assert (opened[1]["payload"], opened[1]["subscriber"]) == ({"default": 3}, subscriber)
        other.reset()
        closing = await watcher.events(2)
        assert {e.event for e in events + closing} == {"mercure"}
        assert [orjson.loads(e.data) for e in closing] == [d | {"active": False} for d in opened]


async def test_subscribers_of_one_token_are_distinct(hub_of, mercure, watched):
    """Subscription Events, `{subscriber}`: unique for each connection, and nobody's to choose."""
    async with hub_of(**watched) as hub:
        token = mercure.token_1x(EVERYTHING, sub="alice")
        watcher = await mercure.subscribe(
            hub, ("match_urlpattern", SUBSCRIPTIONS + "/*"), token=token
        )
        for _ in range(2):
            await mercure.subscribe(hub, ("match", "a"), ("subscriber", "mine"), token=token)
        found = [orjson.loads(e.data)["subscriber"] for e in await watcher.events(3)]
        assert len(set(found)) == 3
        assert not any("alice" in text or "mine" in text for text in found)


async def test_subscription_events_are_private(hub_of, mercure, watched):
    """Subscription Events."""
    async with hub_of(**watched) as hub:
        stranger = await mercure.subscribe(hub, ("match", "*"), token=mercure.token_1x())
        await mercure.subscribe(hub, ("match", "a"))
        await mercure.publish(hub, "a", "x", token=mercure.token_1x(EVERYTHING))
        assert (await stranger.event()).data == "x"


async def test_the_subscription_api_lists_what_is_active(hub_of, mercure, watched):
    """Subscription API: all, those of a matcher, and one; the cursor is in the `Link` header."""
    async with hub_of(**watched) as hub:
        token = mercure.token_1x(EVERYTHING)

        async def get(path: str):
            async with await mercure.get(hub, token=token, path=path) as answer:
                assert answer.status == 200
                assert answer.headers["content-type"] == "application/json"
                return answer.headers, await answer.json()

        await mercure.subscribe(hub, ("match_urlpattern", BOOKS))
        await mercure.subscribe(hub, ("match_urlpattern", BOOKS), ("match", "plain"))
        await mercure.subscribe(hub, ("topic", "of another revision"))

        async def are_all_there() -> bool:
            return len((await get(SUBSCRIPTIONS))[1]["subscriptions"]) >= 3

        await eventually(are_all_there)
        headers, every = await get(SUBSCRIPTIONS)
        assert (every["id"], every["type"]) == (SUBSCRIPTIONS, "subscriptions")
        last = headers["etag"].strip('"')
        assert headers["link"] == (
            f'<{mercure.url}>; rel="mercure"; last-event-id="{last}"; type="mercure";'
            ' content-type="application/json"'
        )
        assert "must-revalidate" in headers["cache-control"]
        of_books = SUBSCRIPTIONS + "/urlpattern/https%3A%2F%2Fexample.com%2Fbooks%2F%3Aid"
        _, collection = await get(of_books)
        assert collection["id"] == of_books
        one, two = collection["subscriptions"]
        assert one["match"] == two["match"] == BOOKS
        assert (await get(one["id"]))[1] == one
        stream = await mercure.subscribe(hub, ("match", "*"), ("last_event_id", last), token=token)
        await mercure.publish(hub, "a", "next", token=token)
        while (event := await stream.event()).event == "mercure":
            pass
        assert event.data == "next"


async def test_the_subscription_api_before_any_event_says_earliest(hub_of, mercure, watched):
    """Subscription API: `last-event-id`."""
    async with hub_of(**watched) as hub:
        token = mercure.token_1x(EVERYTHING)
        async with await mercure.get(hub, token=token, path=SUBSCRIPTIONS) as answer:
            assert 'last-event-id="earliest"' in answer.headers["link"]
            etag = answer.headers["etag"]
        async with await mercure.get(
            hub, token=token, path=SUBSCRIPTIONS, If_None_Match=etag
        ) as answer:
            assert answer.status == 304


@pytest.mark.parametrize(
    ("path", "status"),
    [("/exact/a/urn%3Auuid%3Anobody", 404), ("/a/b/c/d", 404), ("/exact", 404), ("/exact/a", 200)],
)
async def test_a_subscription_that_does_not_exist_is_not_found(
    standing_of, mercure, watched, path, status
):
    """Subscription API: 404; a collection may be empty."""
    async with standing_of(**watched) as hub:
        token = mercure.token_1x(EVERYTHING)
        async with await mercure.get(hub, token=token, path=SUBSCRIPTIONS + path) as answer:
            assert answer.status == status


@pytest.mark.parametrize(
    ("matcher", "path", "status"),
    [
        ("*", "", 200),
        (SUBSCRIPTIONS, "", 200),
        (SUBSCRIPTIONS, "?x=y", 200),  # the query component is not part of the topic
        (SUBSCRIPTIONS, "/exact/a", 403),
        (f"{SUBSCRIPTIONS}/exact/a", "/exact/a", 200),
        (pattern(SUBSCRIPTIONS + "{/*}?"), "/exact/a", 200),
        (pattern("https://hub.example" + SUBSCRIPTIONS + "/:type/:match"), "/exact/a", 200),
        (pattern(SUBSCRIPTIONS + "/:type/:match/:subscriber"), "/exact/a", 403),
        ("a", "", 403),
    ],
)
async def test_the_subscription_api_is_for_who_is_granted_its_url(
    standing_of, mercure, watched, matcher, path, status
):
    """Subscription API: the relative URL is the topic that `subscribe` must be granted on."""
    async with standing_of(**watched) as hub:
        token = mercure.token_1x(("subscribe", [matcher]), ("publish", ["*"]))
        async with await mercure.get(hub, token=token, path=SUBSCRIPTIONS + path) as answer:
            assert answer.status == status


# Discovery


async def test_the_hub_describes_itself_as_a_protected_resource(standing_of, mercure, watched):
    """Protected Resource Metadata (RFC 9728)."""
    async with standing_of(**watched) as hub, await mercure.get(hub, path=METADATA) as answer:
        assert answer.status == 200
        assert answer.headers["content-type"] == "application/json"
        assert await answer.json() == {
            "resource": mercure.url,
            "bearer_methods_supported": ["header"],
            "authorization_details_types_supported": ["https://mercure.rocks/authorization-detail"],
            "mercure_cookie": "__Secure-mercure_access_token",
            "mercure_matcher_types_supported": ["exact", "urlpattern"],
            "mercure_subscriptions": True,
        }


async def test_a_feature_that_is_off_is_not_advertised(standing_of, mercure):
    """Protected Resource Metadata: `mercure_subscriptions`."""
    async with (
        standing_of(**mercure.secured) as hub,
        await mercure.get(hub, path=METADATA) as answer,
    ):
        assert "mercure_subscriptions" not in await answer.json()
