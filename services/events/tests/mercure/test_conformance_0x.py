"""The rules of the Mercure protocol, revision 0.x (draft-dunglas-mercure-07), one test each.

The docstring names the section. Streams are tested on our server and on plain uvicorn; rules that
end in one answer on hubs that stand for all tests.
"""

import time

import jwt
import orjson
import pytest

from eddyline.testing import eventually

BOOK = "https://example.com/books/1"
BOOKS = "https://example.com/books/{id}"


# Topic Selectors


async def test_the_selector_star_matches_every_topic(hub, mercure):
    """Topic Selectors, step 1."""
    stream = await mercure.subscribe(hub, ("topic", "*"))
    for topic in (BOOK, "plain", "urn:x:y"):
        await mercure.publish(hub, topic, topic)
    assert [e.data for e in await stream.events(3)] == [BOOK, "plain", "urn:x:y"]


async def test_a_selector_matches_the_string_that_it_is(hub, mercure):
    """Topic Selectors, step 2: also a template, which is a string, and a broken one."""
    stream = await mercure.subscribe(hub, ("topic", "raw string"), ("topic", "{broken"))
    await mercure.publish(hub, "another string", "no")
    await mercure.publish(hub, "raw string", "1")
    await mercure.publish(hub, "{broken", "2")
    assert [e.data for e in await stream.events(2)] == ["1", "2"]
    template = await mercure.subscribe(hub, ("topic", BOOKS))
    await mercure.publish(hub, BOOKS, "3")
    assert (await template.event()).data == "3"


async def test_a_selector_matches_the_expansions_of_a_uri_template(hub, mercure):
    """Topic Selectors, step 3."""
    stream = await mercure.subscribe(hub, ("topic", BOOKS))
    await mercure.publish(hub, "https://example.com/authors/1", "no")
    await mercure.publish(hub, "https://example.com/books/1/pages/2", "no")
    await mercure.publish(hub, BOOK, "yes")
    assert (await stream.event()).data == "yes"


# Subscription


async def test_a_subscriber_selects_several_topics(hub, mercure):
    """Subscription: one or more query parameters named `topic`."""
    stream = await mercure.subscribe(hub, ("topic", "foo"), ("topic", BOOKS), ("topic", "bar"))
    for topic in ("bar", "other", BOOK, "foo"):
        await mercure.publish(hub, topic, topic)
    assert [e.data for e in await stream.events(3)] == ["bar", BOOK, "foo"]


async def test_a_subscription_without_topic_is_a_bad_request(standing, mercure):
    """Subscription."""
    async with await mercure.get(standing) as answer:
        assert answer.status == 400
        assert 'Missing "topic" parameter' in (await answer.json())["detail"]


@pytest.mark.parametrize(
    ("topics", "complaint"),
    [(["x" * 4097], "4097 bytes"), ([str(n) for n in range(101)], "101 topic matchers")],
)
async def test_a_subscription_over_the_hubs_limits_is_a_bad_request(
    standing, mercure, topics, complaint
):
    """Subscription: the hub may apply an arbitrary limit."""
    async with await mercure.get(standing, *[("topic", topic) for topic in topics]) as answer:
        assert answer.status == 400
        assert complaint in (await answer.json())["detail"]


async def test_as_many_topics_as_are_allowed(hub, mercure):
    """Subscription."""
    stream = await mercure.subscribe(hub, *[("topic", str(n)) for n in range(100)])
    await mercure.publish(hub, "99", "x")
    assert (await stream.event()).data == "x"


async def test_updates_are_a_text_event_stream(hub, mercure):
    """Subscription: `text/event-stream`; no intermediary may keep it back."""
    stream = await mercure.subscribe(hub, ("topic", "a"))
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert "no-cache" in stream.headers["cache-control"]
    assert "private" in stream.headers["cache-control"]
    assert stream.headers["x-accel-buffering"] == "no"


async def test_all_properties_of_server_sent_events_are_supported(hub, mercure):
    """Subscription: `event`, `id`, `retry` and `data`."""
    stream = await mercure.subscribe(hub, ("topic", "a"))
    await mercure.publish(hub, "a", "x", type="changed", id="urn:x:1", retry="1234")
    event = await stream.event()
    assert (event.event, event.id, event.data) == ("changed", "urn:x:1", "x")
    assert stream.parser.retry == 1234


async def test_head_answers_as_get_and_opens_no_stream(hub, mercure):
    """Subscription (trap 7)."""
    async with await mercure.get(hub, ("topic", "a"), method="HEAD", Last_Event_ID="") as answer:
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["last-event-id"] == "earliest"
    assert hub.app.state.context.limits.open == 0


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_other_methods_are_not_allowed(standing, mercure, method):
    """Subscription, Publication: GET and POST."""
    async with await mercure.get(standing, ("topic", "a"), method=method) as answer:
        assert answer.status == 405


# Publication


async def test_a_publication_is_answered_with_its_id(hub, mercure):
    """Publication: the body is the id, which is an IRI where the hub made it."""
    stream = await mercure.subscribe(hub, ("topic", "a"))
    answer, id = await mercure.post(hub, ("topic", "a"), ("data", "x"))
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert id.startswith("urn:uuid:")
    assert (await stream.event()).id == id


@pytest.mark.parametrize(
    "id",
    ["urn:uuid:1", 'id-["https://example.net/foo/ab12"]', "with spaces: and (all) {sorts}", "é漢"],
)
async def test_a_publishers_id_is_used_verbatim(hub, mercure, id):
    """Publication, `id` (trap 6)."""
    stream = await mercure.subscribe(hub, ("topic", "a"))
    assert await mercure.publish(hub, "a", "x", id=id) == id
    assert (await stream.event()).id == id
    await mercure.publish(hub, "a", "y")
    again = await mercure.subscribe(hub, ("topic", "a"), Last_Event_ID=id)
    assert again.headers["last-event-id"].encode("latin-1").decode() == id
    assert (await again.event()).data == "y"


@pytest.mark.parametrize("id", ["#1", "earliest", "a\nb", "a\rb", "a\0b", "a\x7fb", "a\u200bb"])
async def test_an_id_that_is_the_hubs_or_forges_fields_is_refused(standing, mercure, id):
    """Publication, `id`: not `#…`; Security (trap 6)."""
    assert "id " in await mercure.refused(standing, 400, ("topic", "a"), ("id", id))


async def test_an_update_without_topic_is_a_bad_request(standing, mercure):
    """Publication, `topic`."""
    assert 'Missing "topic"' in await mercure.refused(standing, 400, ("data", "x"))


async def test_alternate_topics_reach_their_subscribers_once(hub, mercure):
    """Publication, `topic`: canonical or alternate."""
    both = await mercure.subscribe(hub, ("topic", "canonical"), ("topic", "alternate"))
    alternate = await mercure.subscribe(hub, ("topic", "alternate"))
    template = await mercure.subscribe(hub, ("topic", "alter{rest}"))
    await mercure.post(hub, ("topic", "canonical"), ("topic", "alternate"), ("data", "x"))
    await mercure.publish(hub, "alternate", "y")
    for stream in (both, alternate, template):
        assert [e.data for e in await stream.events(2)] == ["x", "y"]


async def test_data_is_optional(hub, mercure):
    """Publication, `data` (trap 6: empty data)."""
    stream = await mercure.subscribe(hub, ("topic", "a"))
    answer, id = await mercure.post(hub, ("topic", "a"))
    assert answer.status == 200
    event = await stream.event()
    assert (event.data, event.id) == ("", id)


async def test_data_is_split_at_every_line_end(hub, mercure):
    """Subscription: event-stream compliant; spaces stay (trap 6: a lone CR)."""
    stream = await mercure.subscribe(hub, ("topic", "a"))
    await mercure.publish(hub, "a", "one\n\n        two\rid: forged\r\nevent: forged")
    event = await stream.event()
    assert event.data == "one\n\n        two\nid: forged\nevent: forged"
    assert (event.event, event.id != "forged") == ("message", True)


@pytest.mark.parametrize(("field", "value"), [("type", "a\nb"), ("retry", "1s"), ("retry", "-1")])
async def test_a_field_that_would_forge_others_is_refused(standing, mercure, field, value):
    """Publication, `type` and `retry`."""
    assert field in await mercure.refused(standing, 400, ("topic", "a"), (field, value))


async def test_unknown_fields_are_ignored(standing, mercure):
    """Publication."""
    answer, _ = await mercure.post(standing, ("topic", "a"), ("data", "x"), ("color", "red"))
    assert answer.status == 200


async def test_an_update_is_form_encoded(hub, mercure):
    """Publication: `application/x-www-form-urlencoded`, in UTF-8."""
    json = {"Content-Type": "application/json"}
    assert "form" in await mercure.refused(hub, 415, body=b'{"topic": "a"}', headers=json)
    assert "UTF-8" in await mercure.refused(hub, 400, body=b"topic=a&data=%FF")
    stream = await mercure.subscribe(hub, ("topic", "a é"))
    form = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
    await mercure.post(hub, body=b"topic=a+%C3%A9&data=100%25+%E6%BC%A2", headers=form)
    assert (await stream.event()).data == "100% 漢"


async def test_an_update_that_is_too_large_is_refused(standing_of, mercure):
    """Publication: 413."""
    async with standing_of(max_event_bytes=1000) as hub:
        assert "data has 1001" in await mercure.refused(
            hub, 413, ("topic", "a"), ("data", "x" * 1001)
        )
        assert "3" not in await mercure.publish(hub, "a", "x" * 1000, id="whole")
        assert "encoded" in await mercure.refused(hub, 413, ("topic", "a"), ("x", "x" * 4000))
    async with standing_of() as hub:
        assert "topic has 4097" in await mercure.refused(hub, 413, ("topic", "x" * 4097))
        many = [("topic", str(n)) for n in range(1001)]
        assert "1000 topics" in await mercure.refused(hub, 413, *many)


# Authorization


async def test_the_authorization_header_beats_the_query_and_the_cookie(hub_of, mercure):
    """Authorization."""
    good, bad = mercure.token_0x(subscribe=["*"]), "no.good.token"
    async with hub_of(**mercure.secured) as hub:
        cookie = {"Cookie": f"mercureAuthorization={bad}"}
        query = ("authorization", bad)
        stream = await mercure.subscribe(hub, ("topic", "a"), query, token=good, **cookie)
        publisher = mercure.token_0x(publish=["*"])
        await mercure.publish(hub, "a", "x", private="on", token=publisher)
        assert (await stream.event()).data == "x"


async def test_the_query_beats_the_cookie(hub_of, mercure):
    """Authorization."""
    good = mercure.token_0x(subscribe=["*"])
    async with hub_of(**mercure.secured) as hub:
        cookie = {"Cookie": "mercureAuthorization=no.good.token"}
        await mercure.subscribe(hub, ("topic", "a"), ("authorization", good), **cookie)
        async with await mercure.get(
            hub,
            ("topic", "a"),
            ("authorization", "no.good.token"),
            Cookie=f"mercureAuthorization={good}",
        ) as answer:
            assert answer.status == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_authorization_header_is_a_bearer(standing_of, mercure, scheme):
    """Authorization HTTP Header."""
    token = mercure.token_0x(publish=["*"])
    async with standing_of(**mercure.secured) as hub:
        answer, _ = await mercure.post(
            hub, ("topic", "a"), headers={"Authorization": f"{scheme} {token}"}
        )
        assert answer.status == 200
        await mercure.refused(hub, 400, ("topic", "a"), headers={"Authorization": "Basic eDp5"})


async def test_a_subscriber_may_use_the_cookie(hub_of, mercure):
    """Cookie: `mercureAuthorization`."""
    async with hub_of(**mercure.secured) as hub:
        token = mercure.token_0x(subscribe=["a"])
        stream = await mercure.subscribe(
            hub, ("topic", "a"), Cookie=f"other=1; mercureAuthorization={token}"
        )
        await mercure.publish(hub, "a", "x", private="on", token=mercure.token_0x(publish=["*"]))
        assert (await stream.event()).data == "x"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://app.example"}, 200),
        ({"Referer": "https://app.example/page?x"}, 200),
        ({"Origin": "http://127.0.0.1"}, 200),  # the hub's own, by its Host header
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null", "Referer": "https://evil.example/"}, 403),
        ({"Referer": "https://app.example.evil.example/"}, 403),
        ({}, 403),
    ],
)
async def test_a_publication_by_cookie_comes_from_a_trusted_page(
    standing_of, mercure, headers, status
):
    """Security Considerations: CSRF."""
    token = mercure.token_0x(publish=["*"])
    async with standing_of(**mercure.secured, cors_origins=["https://app.example"]) as hub:
        cookie = {"Cookie": f"mercureAuthorization={token}"}
        answer, _ = await mercure.post(hub, ("topic", "a"), headers=headers | cookie)
        assert answer.status == status


async def test_a_publisher_needs_a_token(standing_of, mercure):
    """Publishers."""
    async with standing_of(**mercure.secured) as hub:
        await mercure.refused(hub, 401, ("topic", "a"))
        stranger = mercure.token_0x(publish=["*"], key="s" * 32)
        await mercure.refused(hub, 401, ("topic", "a"), token=stranger)


@pytest.mark.parametrize("claim", [{}, {"publish": []}, {"publish": None}, {"subscribe": ["*"]}])
async def test_a_token_without_publish_may_not_publish(hub_of, mercure, claim):
    """Publishers: not defined, or an empty array."""
    async with hub_of(**mercure.secured) as hub:
        stream = await mercure.subscribe(hub, ("topic", "*"))
        await mercure.refused(hub, 403, ("topic", "a"), token=mercure.token_0x(**claim))
        await mercure.publish(hub, "b", "next", token=mercure.token_0x(publish=["b"]))
        assert (await stream.event()).data == "next"


async def test_a_publisher_is_granted_every_topic_or_nothing_is_dispatched(hub_of, mercure):
    """Publishers."""
    async with hub_of(**mercure.secured) as hub:
        stream = await mercure.subscribe(hub, ("topic", "*"))
        token = mercure.token_0x(publish=["a", BOOKS])
        problem = await mercure.refused(hub, 403, ("topic", "a"), ("topic", "b"), token=token)
        assert "'b'" in problem
        answer, id = await mercure.post(hub, ("topic", "a"), ("topic", BOOK), token=token)
        assert answer.status == 200
        assert (await stream.event()).id == id


@pytest.mark.parametrize("name", ["mercure", "https://mercure.rocks/"])
async def test_the_claim_may_be_namespaced(standing_of, mercure, name):
    """Publishers, of the reference hub: `https://mercure.rocks/`."""
    token = jwt.encode({name: {"publish": ["*"]}}, mercure.key, "HS256")
    async with standing_of(**mercure.secured) as hub:
        await mercure.publish(hub, "a", "x", token=token)


@pytest.mark.parametrize("claim", ["*", ["*"], {"publish": "*"}, {"subscribe": [1]}])
async def test_a_claim_of_another_shape_is_no_token(standing_of, mercure, claim):
    """Publishers, Subscribers."""
    token = jwt.encode({"mercure": claim}, mercure.key, "HS256")
    async with standing_of(**mercure.secured) as hub:
        await mercure.refused(hub, 401, ("topic", "a"), token=token)


async def test_a_private_update_reaches_only_who_is_granted_it(hub_of, mercure):
    """Subscribers: at least one topic matches at least one granted selector."""
    async with hub_of(**mercure.secured) as hub:
        granted = await mercure.subscribe(
            hub, ("topic", "*"), token=mercure.token_0x(subscribe=[BOOKS])
        )
        other = await mercure.subscribe(
            hub, ("topic", "*"), token=mercure.token_0x(subscribe=["x"])
        )
        none = await mercure.subscribe(hub, ("topic", "*"), token=mercure.token_0x())
        anonymous = await mercure.subscribe(hub, ("topic", BOOK))
        token = mercure.token_0x(publish=["*"])
        await mercure.publish(hub, BOOK, "secret", private="on", token=token)
        await mercure.publish(hub, BOOK, "open", token=token)
        assert [e.data for e in await granted.events(2)] == ["secret", "open"]
        for stream in (other, none, anonymous):
            assert (await stream.event()).data == "open"


async def test_a_grant_of_an_alternate_topic_is_enough(hub_of, mercure):
    """Subscribers: the selector that matches and the one that grants may be of different topics."""
    async with hub_of(**mercure.secured) as hub:
        token = mercure.token_0x(subscribe=["https://example.com/users/foo/{?topic}"])
        stream = await mercure.subscribe(hub, ("topic", BOOKS), token=token)
        mine = "https://example.com/users/foo/?topic=https%3A%2F%2Fexample.com%2Fbooks%2F1"
        publisher = mercure.token_0x(publish=["*"])
        private = ("private", "")
        for n, topics in enumerate([[BOOK], [mine], [BOOK, mine]]):
            fields = [("topic", topic) for topic in topics]
            await mercure.post(hub, *fields, ("data", str(n)), private, token=publisher)
        assert (await stream.event()).data == "2"  # granted and selected, each by one of them


@pytest.mark.parametrize("value", ["on", "", "0", "false"])
async def test_private_is_set_whatever_its_value(hub_of, mercure, value):
    """Publication, `private`."""
    async with hub_of(**mercure.secured) as hub:
        stream = await mercure.subscribe(hub, ("topic", "a"))
        token = mercure.token_0x(publish=["*"])
        await mercure.publish(hub, "a", "secret", private=value, token=token)
        await mercure.publish(hub, "a", "open", token=token)
        assert (await stream.event()).data == "open"


async def test_the_connection_is_closed_when_the_token_expires(hub_of, mercure):
    """Subscribers: `exp`."""
    async with hub_of(**mercure.secured) as hub:
        began = time.time()
        token = mercure.token_0x(subscribe=["*"], seconds=1.5)
        stream = await mercure.subscribe(hub, ("topic", "a"), token=token)
        assert await stream.events() == []
        assert stream.clean
        assert time.time() - began > 1.0
        async with await mercure.get(hub, ("topic", "a"), token=token) as answer:
            assert answer.status == 401


async def test_a_token_needs_no_expiry(hub_of, mercure):
    """Subscribers: if the JWS contains an expiration time."""
    async with hub_of(**mercure.secured) as hub:
        await mercure.subscribe(hub, ("topic", "a"), token=mercure.token_0x(subscribe=["*"]))


async def test_a_token_needs_no_issuer_and_no_audience(standing_of, mercure):
    """Authorization: the claims of 0.x; those of others that a token does have must hold."""
    async with standing_of(**mercure.secured, auth_audience="eddyline") as hub:
        await mercure.publish(hub, "a", "x", token=mercure.token_0x(publish=["*"]))
        for other in ({"iss": "https://stranger.example"}, {"aud": "another"}):
            claims = {"mercure": {"publish": ["*"]}, **other}
            token = jwt.encode(claims, mercure.key, "HS256")
            await mercure.refused(hub, 401, ("topic", "a"), token=token)


async def test_a_hub_may_require_that_subscribers_are_authenticated(hub_of, mercure):
    """Subscription: the hub may require authentication."""
    async with hub_of(**mercure.secured | {"anonymous": False}) as hub:
        async with await mercure.get(hub, ("topic", "a")) as answer:
            assert answer.status == 401
        await mercure.subscribe(hub, ("topic", "a"), token=mercure.token_0x())


# Reconnection, State Reconciliation and Event Sourcing


async def test_every_event_has_an_id(hub, mercure, publish):
    """Reconciliation: events must include an `id`."""
    stream = await mercure.subscribe(hub, ("topic", "a"))
    id = await mercure.publish(hub, "a", "x")
    _, answer = await publish(hub, {"topic": "a", "data": "by another way"})
    assert [e.id for e in await stream.events(2)] == [id, answer["id"]]


@pytest.mark.parametrize("way", ["header", "lastEventID", "Last-Event-ID", "lastEventId"])
async def test_a_subscriber_resumes_after_the_event_that_it_names(hub, mercure, way):
    """Reconciliation: `Last-Event-ID` header, `lastEventID` parameter; and older spellings."""
    ids = [await mercure.publish(hub, "ab"[n % 2], str(n)) for n in range(6)]
    if way == "header":
        stream = await mercure.subscribe(hub, ("topic", "a"), Last_Event_ID=ids[1])
    else:
        stream = await mercure.subscribe(hub, ("topic", "a"), (way, ids[1]))
    assert stream.headers["last-event-id"] == ids[1]
    assert [e.data for e in await stream.events(2)] == ["2", "4"]
    await mercure.publish(hub, "a", "live")
    assert (await stream.event()).data == "live"


async def test_the_header_takes_precedence_over_the_parameter(hub, mercure):
    """Reconciliation (trap 7)."""
    ids = [await mercure.publish(hub, "a", str(n)) for n in range(3)]
    stream = await mercure.subscribe(
        hub, ("topic", "a"), ("lastEventID", ids[0]), Last_Event_ID=ids[1]
    )
    assert stream.headers["last-event-id"] == ids[1]
    assert (await stream.event()).data == "2"


async def test_earliest_asks_for_all_that_there_is(hub, mercure):
    """Reconciliation: `earliest`."""
    for n in range(3):
        await mercure.publish(hub, "a", str(n))
    stream = await mercure.subscribe(hub, ("topic", "a"), ("lastEventID", "earliest"))
    assert stream.headers["last-event-id"] == "earliest"
    assert [e.data for e in await stream.events(3)] == ["0", "1", "2"]


async def test_the_response_names_an_event_only_where_the_request_did(hub, mercure):
    """Reconciliation: the `Last-Event-ID` response header."""
    await mercure.publish(hub, "a", "x")
    stream = await mercure.subscribe(hub, ("topic", "a"))
    assert "last-event-id" not in stream.headers


async def test_an_empty_id_starts_at_the_head_and_is_answered(hub, mercure):
    """Reconciliation (trap 7: an empty header)."""
    stream = await mercure.subscribe(hub, ("topic", "a"), Last_Event_ID="")
    assert stream.headers["last-event-id"] == "earliest"  # there is no preceding event
    await mercure.publish(hub, "a", "0")
    late = await mercure.subscribe(hub, ("topic", "a"), ("lastEventID", ""))
    named = late.headers["last-event-id"]
    await mercure.publish(hub, "a", "1")
    assert (await late.event()).data == "1"
    again = await mercure.subscribe(hub, ("topic", "a"), Last_Event_ID=named)
    assert (await again.event()).data == "1"


async def test_an_unknown_id_is_answered_with_earliest_and_said_in_the_stream(hub, mercure):
    """Reconciliation: an event that doesn't exist; EventSource reads no headers."""
    await mercure.publish(hub, "a", "before")
    stream = await mercure.subscribe(hub, ("topic", "a"), Last_Event_ID="urn:uuid:nobodys")
    assert stream.headers["last-event-id"] == "earliest"
    reset = await stream.event()
    assert reset.event == "eddyline.reset"
    assert orjson.loads(reset.data)["reason"] == "unknown"
    await mercure.publish(hub, "a", "live")
    assert (await stream.event()).data == "live"


async def test_a_discarded_id_is_answered_with_earliest(hub_of, mercure):
    """Reconciliation: the hub may discard events."""
    async with hub_of(journal_bytes=2000) as hub:
        first = await mercure.publish(hub, "a", "0", id="urn:x:first")
        for n in range(10):
            await mercure.publish(hub, "a", str(n))
        stream = await mercure.subscribe(hub, ("topic", "a"), Last_Event_ID=first)
        assert stream.headers["last-event-id"] == "earliest"
        assert (await stream.event()).event == "eddyline.reset"


async def test_an_id_that_is_used_twice_means_the_first_event(hub, mercure):
    """Reconciliation, as 1.0 makes it clear (trap 10). The hub makes another id for the later one,
    as it may: else each resume would repeat all that came between.
    """
    await mercure.publish(hub, "a", "0", id="twice")
    await mercure.publish(hub, "a", "1")
    later = await mercure.publish(hub, "a", "2", id="twice")
    assert later.startswith("urn:uuid:")
    stream = await mercure.subscribe(hub, ("topic", "a"), Last_Event_ID="twice")
    assert [(e.id, e.data) for e in await stream.events(2)][1] == (later, "2")


async def test_private_updates_are_kept_from_strangers_on_replay_too(hub_of, mercure):
    """Subscribers, Reconciliation (trap 9); nor does the id of one tell a thing."""
    async with hub_of(**mercure.secured) as hub:
        token = mercure.token_0x(publish=["*"])
        await mercure.publish(hub, "a", "open", token=token)
        await mercure.publish(hub, "a", "secret", private="on", id="urn:x:secret", token=token)
        await mercure.publish(hub, "a", "open too", token=token)
        replayed = await mercure.subscribe(hub, ("topic", "a"), ("lastEventID", "earliest"))
        assert [e.data for e in await replayed.events(2)] == ["open", "open too"]
        stranger = await mercure.subscribe(hub, ("topic", "a"), Last_Event_ID="urn:x:secret")
        unknown = await mercure.subscribe(hub, ("topic", "a"), Last_Event_ID="urn:x:none")
        for stream in (stranger, unknown):
            assert stream.headers["last-event-id"] == "earliest"
            assert (await stream.event()).event == "eddyline.reset"
        reader = mercure.token_0x(subscribe=["a"])
        granted = await mercure.subscribe(
            hub, ("topic", "a"), token=reader, Last_Event_ID="urn:x:secret"
        )
        assert granted.headers["last-event-id"] == "urn:x:secret"
        assert (await granted.event()).data == "open too"


# Active Subscriptions

SUBSCRIPTIONS = "/.well-known/mercure/subscriptions"


@pytest.fixture
def watched(mercure):
    return mercure.secured | {"mercure_subscriptions": True}


async def test_a_subscription_is_announced_when_it_is_created_and_terminated(
    hub_of, mercure, watched
):
    """Subscription Events: one update for each `topic`, the same subscriber in all of them."""
    async with hub_of(**watched) as hub:
        reader = mercure.token_0x(subscribe=[SUBSCRIPTIONS + "{/topic}{/subscriber}"])
        watcher = await mercure.subscribe(
            hub, ("topic", SUBSCRIPTIONS + "{/topic}{/subscriber}"), token=reader
        )
        mine = await watcher.event()
        assert orjson.loads(mine.data)["active"] is True
        token = mercure.token_0x(payload={"who": "alice"})
        other = await mercure.subscribe(hub, ("topic", BOOKS), ("topic", "plain"), token=token)
        opened = [orjson.loads(e.data) for e in await watcher.events(2)]
        subscriber = opened[0]["subscriber"]
        assert subscriber.startswith("urn:uuid:")
        assert opened[0] == {
            "@context": "https://mercure.rocks/",
            "id": f"{SUBSCRIPTIONS}/https%3A%2F%2Fexample.com%2Fbooks%2F%7Bid%7D/"
            + subscriber.replace(":", "%3A"),
            "type": "Subscription",
            "topic": BOOKS,
            "subscriber": subscriber,
            "active": True,
            "payload": {"who": "alice"},
        }
        assert opened[1]["topic"] == "plain"
        assert opened[1]["subscriber"] == subscriber
        other.reset()
        closed = [orjson.loads(e.data) for e in await watcher.events(2)]
        assert closed == [document | {"active": False} for document in opened]


async def test_subscription_events_are_private(hub_of, mercure, watched):
    """Subscription Events: marked as private."""
    async with hub_of(**watched) as hub:
        stranger = await mercure.subscribe(hub, ("topic", "*"))
        await mercure.subscribe(hub, ("topic", "a"))
        await mercure.publish(hub, "a", "x", token=mercure.token_0x(publish=["*"]))
        assert (await stranger.event()).data == "x"


async def test_nobody_forges_a_subscription_event(standing_of, mercure, watched):
    """Subscription Events, as 1.0 reserves the hub's namespace."""
    async with standing_of(**watched) as hub:
        token = mercure.token_0x(publish=["*"])
        await mercure.refused(hub, 400, ("topic", f"{SUBSCRIPTIONS}/a/b"), token=token)


async def test_the_subscription_api_lists_what_is_active(hub_of, mercure, watched):
    """Subscription API: all, those of a topic, and one."""
    async with hub_of(**watched) as hub:
        token = mercure.token_0x(subscribe=["*"])
        await mercure.subscribe(hub, ("topic", BOOKS))
        await mercure.subscribe(hub, ("topic", BOOKS), ("topic", "plain"))
        await mercure.subscribe(hub, ("match", "of another revision"))

        async def get(path: str):
            async with await mercure.get(hub, token=token, path=path) as answer:
                assert answer.status == 200
                assert answer.headers["content-type"].startswith("application/ld+json")
                return answer.headers, await answer.json()

        async def count(path: str) -> int:
            return len((await get(path))[1]["subscriptions"])

        async def are_all_there() -> bool:
            return await count(SUBSCRIPTIONS) >= 3

        await eventually(are_all_there)
        headers, every = await get(SUBSCRIPTIONS)
        assert every["@context"] == "https://mercure.rocks/"
        assert (every["id"], every["type"]) == (SUBSCRIPTIONS, "Subscriptions")
        assert headers["etag"] == f'"{every["lastEventID"]}"'
        assert headers["cache-control"] == "private, must-revalidate"
        assert 'rel="mercure"' in headers["link"]
        of_books = SUBSCRIPTIONS + "/https%3A%2F%2Fexample.com%2Fbooks%2F%7Bid%7D"
        assert await count(of_books) == 2
        one = (await get(of_books))[1]["subscriptions"][0]
        _, alone = await get(one["id"])
        assert alone.pop("lastEventID")
        assert alone == one | {"@context": "https://mercure.rocks/"}


async def test_the_subscription_api_answers_404_for_none(standing_of, mercure, watched):
    """Subscription API: also once a subscription has ended."""
    async with standing_of(**watched) as hub:
        token = mercure.token_0x(subscribe=["*"])
        path = f"{SUBSCRIPTIONS}/a/urn%3Auuid%3Anobody"
        async with await mercure.get(hub, token=token, path=path) as answer:
            assert answer.status == 404


@pytest.mark.parametrize(
    ("selectors", "status"),
    [
        (["*"], 200),
        ([SUBSCRIPTIONS], 200),
        ([SUBSCRIPTIONS + "{/topic}"], 200),
        ([SUBSCRIPTIONS + "/{topic}"], 403),
        ([], 403),
    ],
)
async def test_the_subscription_api_is_for_who_is_granted_its_url(
    standing_of, mercure, watched, selectors, status
):
    """Subscription API: the URL matches at least one selector of `mercure.subscribe`."""
    async with standing_of(**watched) as hub:
        token = mercure.token_0x(subscribe=selectors)
        async with await mercure.get(hub, token=token, path=SUBSCRIPTIONS) as answer:
            assert answer.status == status
        async with await mercure.get(hub, path=SUBSCRIPTIONS) as answer:
            assert answer.status == 403  # an anonymous reader is granted nothing


async def test_the_subscription_api_revalidates(hub_of, mercure, watched):
    """Subscription API: `ETag`, 304; `lastEventID` closes the gap to the events."""
    async with hub_of(**watched) as hub:
        token = mercure.token_0x(subscribe=["*"])
        async with await mercure.get(hub, token=token, path=SUBSCRIPTIONS) as answer:
            etag, last = answer.headers["etag"], (await answer.json())["lastEventID"]
        assert last == "earliest"
        async with await mercure.get(
            hub, token=token, path=SUBSCRIPTIONS, If_None_Match=etag
        ) as answer:
            assert answer.status == 304
        await mercure.subscribe(hub, ("topic", "a"))
        await eventually(lambda: hub.app.state.context.limits.open == 1)
        stream = await mercure.subscribe(hub, ("topic", "*"), ("lastEventID", last), token=token)
        assert orjson.loads((await stream.event()).data)["topic"] == "a"
        async with await mercure.get(
            hub, token=token, path=SUBSCRIPTIONS, If_None_Match=etag
        ) as answer:
            assert answer.status == 200


async def test_a_hub_without_the_feature_has_no_subscription_api(standing, mercure):
    """Active Subscriptions: an optional set of features."""
    async with await mercure.get(standing, path=SUBSCRIPTIONS) as answer:
        assert answer.status == 404
