"""The surroundings of the Mercure protocol: CORS, presence, kicks, limits, the hub's own API."""

import asyncio

import jwt
import orjson
import pytest

from eddyline.testing import eventually

APP = "https://app.example"


async def test_events_of_the_hubs_own_api_and_of_mercure_are_the_same(
    hub, mercure, publish, subscribed
):
    theirs = await mercure.subscribe(hub, ("topic", "a/{b}"))
    ours = await subscribed(hub, "?topic=a/b")
    await publish(hub, {"topic": "a/b", "data": {"n": 1}, "event": "created"})
    id = await mercure.publish(hub, "a/b", "text", type="changed")
    for stream in (theirs, ours):
        first, second = await stream.events(2)
        assert (first.event, first.data) == ("created", '{"n":1}')
        assert (second.event, second.data, second.id) == ("changed", "text", id)
    again = await subscribed(hub, "?topic=a/b&after=earliest")
    assert [e.data for e in await again.events(2)] == ['{"n":1}', "text"]


@pytest.mark.parametrize(
    ("event", "complaint"),
    [
        ({"topic": "/.well-known/mercure/subscriptions/exact/a/b"}, "namespace"),
        ({"topic": "https://x.example/.well-known/mercure/x"}, "namespace"),
        ({"topic": "/.well-known/%6Dercure/x"}, "namespace"),
        ({"topic": "/.well-known/mer\tcure/x"}, "namespace"),
        ({"topic": "a", "event": "mercure"}, "hub's own events"),
    ],
)
async def test_nobody_forges_the_hubs_events_by_its_own_api_either(
    standing, publish, event, complaint
):
    status, problem = await publish(standing, {"data": "x", **event})
    assert status == 400
    assert complaint in problem["detail"]


@pytest.mark.parametrize("field", [("type", "eddyline.reset"), ("retry", "60001")])
async def test_an_update_reaches_no_other_topics_of_its_readers(hub, mercure, field):
    """A forged reset makes every client reload, and `retry` holds for all of a source's topics."""
    await mercure.refused(hub, 400, ("topic", "a"), field)


async def test_an_id_like_a_cursor_of_any_epoch_is_refused(hub, mercure, publish):
    """A client of the topic `orders` that resumed from it would miss all events before this one."""
    _, answer = await publish(hub, {"topic": "orders", "data": "0"})
    for id in (answer["id"], "d3310548.5", "v1.7"):
        assert "id:" in await mercure.refused(hub, 400, ("topic", "public/x"), ("id", id))
    assert await mercure.publish(hub, "a", "2", id="v1-7") == "v1-7"
    stream = await mercure.subscribe(hub, ("topic", "a"), Last_Event_ID="v1-7")
    await mercure.publish(hub, "a", "3")
    assert (await stream.event()).data == "3"


async def test_updates_that_all_have_one_id_get_other_ones(hub, mercure):
    """dunglas/mercure#586: else each resume would repeat all of them, for ever."""
    assert await mercure.publish(hub, "a", "1", id="UPDATE") == "UPDATE"
    assert await mercure.publish(hub, "a", "1", id="UPDATE") == "UPDATE", "the same one, sent again"
    second = await mercure.publish(hub, "a", "2", id="UPDATE")
    assert second.startswith("urn:uuid:")
    await mercure.publish(hub, "a", "3", id="UPDATE")
    stream = await mercure.subscribe(hub, ("topic", "a"), Last_Event_ID=second)
    assert (await stream.event()).data == "3"


async def test_a_stream_of_the_hubs_own_api_names_the_mercure_hub(hub_of, mercure, subscribed):
    for settings, url in [
        ({}, "/.well-known/mercure"),
        ({"mercure_url": mercure.url}, mercure.url),
    ]:
        async with hub_of(**settings) as hub:
            stream = await subscribed(hub)
            assert stream.headers["link"] == f'<{url or mercure.path}>; rel="mercure"'
            await stream.close()


async def test_a_page_of_a_listed_origin_may_read_with_credentials(hub_of, mercure):
    async with hub_of(cors_origins=[APP], **mercure.secured) as hub:
        stream = await mercure.subscribe(hub, ("match", "a"), ("last_event_id", ""), Origin=APP)
        assert stream.headers["access-control-allow-origin"] == APP
        assert stream.headers["access-control-allow-credentials"] == "true"
        exposed = stream.headers["access-control-expose-headers"].lower()
        for name in ("link", "last-event-id", "mercure-last-event-id"):
            assert name in exposed.split(", ")
        refused, _ = await mercure.post(hub, ("topic", "a"), headers={"Origin": APP})
        assert refused.status == 401
        assert refused.headers["access-control-allow-origin"] == APP
        assert "www-authenticate" in refused.headers


@pytest.mark.parametrize("path", ["", "/subscriptions", "/subscriptions/exact/a", "oauth"])
async def test_a_page_asks_first_where_it_must(standing_of, mercure, path):
    where = (
        "/.well-known/oauth-protected-resource/.well-known/mercure"
        if path == "oauth"
        else mercure.path + path
    )
    async with standing_of(cors_origins=[APP], mercure_subscriptions=True) as hub:
        asked = {"Access_Control_Request_Method": "GET"}
        async with await mercure.get(
            hub, method="OPTIONS", path=where, Origin=APP, **asked
        ) as answer:
            assert answer.status == 200
            assert answer.headers["access-control-allow-origin"] == APP
            assert "last-event-id" in answer.headers["access-control-allow-headers"]
            assert "authorization" in answer.headers["access-control-allow-headers"]
        async with await mercure.get(
            hub, method="OPTIONS", path=where, Origin="https://evil.example", **asked
        ) as answer:
            assert "access-control-allow-origin" not in answer.headers


async def test_a_star_among_the_origins_lets_nobody_publish_by_cookie(standing_of, mercure):
    async with standing_of(cors_origins=["*"], **mercure.secured) as hub:
        token = mercure.token_0x(publish=["*"])
        for origin in ("*", "https://evil.example", "null"):
            headers = {"Cookie": f"mercureAuthorization={token}", "Origin": origin}
            await mercure.refused(hub, 403, ("topic", "a"), headers=headers)


async def test_who_stops_takes_no_update_that_it_could_not_deliver(hub, mercure):
    hub.app.state.context.drain.draining = True
    assert "stopping" in await mercure.refused(hub, 503, ("topic", "a"))


async def test_the_rate_of_updates_is_limited(hub_of, mercure):
    async with hub_of(publish_rate=1) as hub:
        answers = [(await mercure.post(hub, ("topic", "a")))[0] for _ in range(4)]
        assert [answer.status for answer in answers].count(429) >= 1
        assert all("retry-after" in a.headers for a in answers if a.status == 429)


async def test_only_the_machine_itself_is_let_in_without_authentication(hub):
    # As a page does whose name was made to resolve to loopback (DNS rebinding).
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
    writer.write(b"GET /.well-known/mercure?topic=a HTTP/1.1\r\nHost: rebound.example\r\n\r\n")
    assert (await asyncio.wait_for(reader.readline(), 20)).startswith(b"HTTP/1.1 403 ")
    writer.close()


async def test_subscribers_are_present_and_may_be_kicked(hub_of, mercure, asked, bearer, key):
    async with hub_of(auth_key=key, anonymous=True) as hub:
        odd = [("topic", "{broken"), ("topic", "t/{x}"), ("topic", "x" * 2000), ("match", "a")]
        stream = await mercure.subscribe(
            hub, *odd, ("match_urlpattern", "/b/:id{/c}?"), ("match", "*")
        )
        admin = bearer("events:presence events:kick", sub="admin")
        status, found = await asked(hub, "/events/subscribers", **admin)
        assert status == 200
        [subscriber] = found["subscribers"]
        assert subscriber["id"] == stream.headers["eddyline-subscriber"]
        assert {"*", "a", "t/{x}"} <= set(subscriber["topics"])
        assert (await asked(hub, "/events/subscribers?topic=t/1", **admin))[1]["count"] == 1
        path = "/events/subscribers/" + subscriber["id"]
        assert (await asked(hub, path, "DELETE", **admin))[0] == 204
        assert await stream.events() == []
        assert stream.clean


async def test_a_kicked_subject_may_neither_subscribe_nor_publish(
    hub_of, mercure, asked, bearer, key
):
    claims = {"sub": "alice", "mercure": {"publish": ["*"], "subscribe": ["*"]}}
    token = jwt.encode(claims, key, "HS256")
    async with hub_of(auth_key=key) as hub:
        stream = await mercure.subscribe(hub, ("topic", "a"), token=token)
        body = orjson.dumps({"subject": "alice"})
        assert (await asked(hub, "/events/kick", "POST", body, **bearer("events:kick")))[0] == 204
        assert await stream.events() == []
        assert "kicked" in await mercure.refused(hub, 403, ("topic", "a"), token=token)
        async with await mercure.get(hub, ("topic", "a"), token=token) as answer:
            assert answer.status == 403


async def test_nothing_is_left_of_who_went(hub, mercure):
    streams = [await mercure.subscribe(hub, ("topic", f"x/{{{n}}}")) for n in "abc"]
    for stream in streams:
        stream.reset()
    await eventually(lambda: hub.app.state.context.limits.open == 0)


async def test_the_openapi_document_names_parameters_and_fields(standing, mercure):
    async with await mercure.get(standing, path="/openapi.json") as answer:
        paths = (await answer.json())["paths"][mercure.path]
    assert {"topic", "match", "match_urlpattern"} <= {p["name"] for p in paths["get"]["parameters"]}
    [form] = paths["post"]["requestBody"]["content"].values()
    assert form["schema"]["required"] == ["topic"]
