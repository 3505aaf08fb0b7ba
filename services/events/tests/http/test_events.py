"""HTTP of the events service, on real sockets."""

import asyncio

import orjson
import pytest

from eddyline.testing import eventually, fetch


async def test_a_published_event_reaches_its_subscribers(hub, publish, subscribed):
    mine = await subscribed(hub, "?topic=orders&topic=news")
    everything = await subscribed(hub)
    other = await subscribed(hub, "?topic=other")
    status, answer = await publish(hub, {"topic": "orders", "data": {"n": 1}, "event": "created"})
    assert status == 201
    for stream in (mine, everything):
        event = await stream.event()
        assert (event.event, event.data, event.id) == ("created", '{"n":1}', answer["id"])
    await publish(hub, {"topic": "other", "data": "text as it is"})
    assert (await other.event()).data == "text as it is"
    for stream in (mine, everything, other):
        await stream.close()


async def test_the_head_is_a_streams(hub, subscribed):
    stream = await subscribed(hub)
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert stream.headers["cache-control"] == "no-cache, no-transform"
    assert stream.headers["x-accel-buffering"] == "no"
    assert stream.headers["x-request-id"]
    await stream.close()


@pytest.mark.parametrize("way", ["header", "query"])
async def test_resume_over_many_topics(hub, publish, subscribed, way):
    ids = [
        (await publish(hub, {"topic": "abc"[n % 3], "data": str(n)}))[1]["id"] for n in range(30)
    ]
    wanted = [id for n, id in enumerate(ids) if n % 3 != 2 and n > 10]
    if way == "header":
        stream = await subscribed(hub, "?topic=a&topic=b", Last_Event_ID=ids[10])
    else:
        stream = await subscribed(hub, f"?topic=a&topic=b&after={ids[10]}")
    assert [e.id for e in await stream.events(len(wanted))] == wanted
    await stream.close()


async def test_the_header_beats_the_query(hub, publish, subscribed):
    # EventSource reconnects with the URL that it was given, `after` and all.
    ids = [(await publish(hub, {"topic": "a", "data": str(n)}))[1]["id"] for n in range(3)]
    stream = await subscribed(hub, f"?after={ids[0]}", Last_Event_ID=ids[1])
    assert (await stream.event()).id == ids[2]
    await stream.close()


async def test_a_publishers_id_and_retry(hub, publish, subscribed):
    stream = await subscribed(hub)
    status, answer = await publish(hub, {"topic": "a", "data": "x", "id": "mine-1", "retry": 1234})
    assert (status, answer) == (201, {"id": "mine-1"})
    assert (await stream.event()).id == "mine-1"
    assert stream.parser.retry == 1234
    await publish(hub, {"topic": "a", "data": "y"})
    again = await subscribed(hub, Last_Event_ID="mine-1")
    assert (await again.event()).data == "y"
    await stream.close()
    await again.close()


async def test_private_events_are_not_among_all_public_ones(hub, publish, subscribed):
    everything = await subscribed(hub)
    named = await subscribed(hub, "?topic=secret")
    await publish(hub, {"topic": "secret", "data": "s", "private": True})
    await publish(hub, {"topic": "secret", "data": "open"})
    assert (await everything.event()).data == "open"
    assert [e.data for e in await named.events(2)] == ["s", "open"]
    await everything.close()
    await named.close()


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"not json", "Invalid JSON"),
        ({"data": "x"}, "topic: Field required"),
        ({"topic": "", "data": "x"}, "topic ''"),
        ({"topic": "a\nb"}, "topic 'a\\nb'"),
        ({"topic": "a" * 1025}, "1-1024 characters"),
        ({"topic": "a", "event": "x\r\ndata: forged"}, "event:"),
        ({"topic": "a", "id": "a b"}, "id:"),
        ({"topic": "a", "id": "earliest"}, "id:"),
        ({"topic": "a", "retry": -1}, "retry:"),
        ({"topic": "a", "retry": "1"}, "retry:"),
        ({"topic": "a", "dat": "x"}, "dat:"),
        ([1], "item 0: body:"),
        (b"7", "body:"),
        ({"topic": "a", "id": "1f.7"}, "id:"),
        ({"topic": "a", "event": "eddyline.reset"}, "event:"),
        ({"topic": "a", "event": "eddyline.anything"}, "event:"),
        ({"topic": "a", "retry": 60_001}, "retry:"),
    ],
)
async def test_a_bad_publication_is_refused_by_name(standing, publish, body, complaint):
    status, problem = await publish(standing, body)
    assert status == 400
    assert complaint in problem["detail"]


async def test_forged_fields_in_data_stay_data(hub, publish, subscribed):
    stream = await subscribed(hub)
    await publish(hub, {"topic": "a", "data": "x\r\rid: forged\n\nevent: forged\ndata: y"})
    event = await stream.event()
    assert event.data == "x\n\nid: forged\n\nevent: forged\ndata: y"
    assert (event.event, event.id != "forged") == ("message", True)
    await stream.close()


async def test_too_large_an_event_is_refused_however_framed(hub_of, publish):
    async with hub_of(max_event_bytes=1000) as hub:
        status, problem = await publish(hub, {"topic": "a", "data": "x" * 2000})
        assert status == 413
        assert "1000 bytes" in problem["detail"]
        # A chunked body names no length: it is refused as soon as it is too long.
        reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
        writer.write(b"POST /events HTTP/1.1\r\nHost: localhost\r\n")
        writer.write(b"Transfer-Encoding: chunked\r\n\r\n")
        writer.write(b"7d0\r\n" + b"x" * 2000 + b"\r\n")
        assert (await asyncio.wait_for(reader.readline(), 20)).startswith(b"HTTP/1.1 413 ")
        writer.close()


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("?topic=", "topic ''"),
        ("?topic=a{b", "URI template 'a{b'"),
        ("?poll=x", "poll='x'"),
        ("?envelope=2", "envelope='2'"),
        ("?poll=1&timeout=nan", "timeout='nan': must be 0-300 seconds"),
        ("?topic=a%0Ab", "topic 'a\\nb'"),
        ("?" + "topic=a&" * 257, "257"),
    ],
)
async def test_a_bad_subscription_is_refused_by_name(standing, query, complaint):
    async with await fetch(f"{standing.url}/events{query}") as stream:
        assert stream.status == 400
        assert complaint in (await stream.json())["detail"]


async def test_head_opens_no_stream(hub):
    async with await fetch(hub.url + "/events", method="HEAD") as stream:
        assert stream.status == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
    await eventually(lambda: hub.app.state.context.limits.open == 0)


async def test_tokens_bound_what_is_read_and_written(hub_of, publish, subscribed, bearer, key):
    async with hub_of(auth_key=key) as hub:
        assert (await fetch(hub.url + "/events")).status == 401
        reader = bearer("events:subscribe:orders/*")
        assert (await fetch(hub.url + "/events?topic=news", headers=reader)).status == 403
        stream = await subscribed(hub, "?topic=orders/7", **reader)
        everything = await subscribed(hub, "", **reader)
        event = {"topic": "orders/7", "data": "x"}
        assert (await publish(hub, event))[0] == 401
        assert (await publish(hub, event, reader))[0] == 403
        writer = bearer("events:publish")
        assert (await publish(hub, {"topic": "news", "data": "not for you"}, writer))[0] == 201
        assert (await publish(hub, event, writer))[0] == 201
        assert (await stream.event()).data == "x"
        # All public topics, as far as they are granted.
        assert (await everything.event()).data == "x"
        await stream.close()
        await everything.close()


async def test_a_stream_ends_with_its_token(hub_of, subscribed, bearer, key):
    async with hub_of(auth_key=key) as hub:
        stream = await subscribed(hub, "", **bearer("events:subscribe", 1.5))
        assert await stream.events() == []
        assert stream.clean
        assert stream.parser.retry is not None


async def test_overload_is_a_soft_refusal_for_event_sources_only(hub_of, subscribed):
    async with hub_of(limit_streams=1) as hub:
        inside = await subscribed(hub)
        soft = await fetch(hub.url + "/events", headers={"Accept": "text/event-stream"})
        assert soft.status == 200
        assert await soft.events() == []
        assert 2000 <= soft.parser.retry <= 30_000
        async with await fetch(hub.url + "/events") as hard:
            assert hard.status == 429
            assert int(hard.headers["retry-after"]) > 0
        inside.reset()
        await eventually(lambda: hub.app.state.context.limits.open == 0)
        again = await subscribed(hub)
        await again.close()


async def test_the_demo_ticks_as_the_lesson_prints_it(hub_of, subscribed):
    async with hub_of(demo=True) as hub:
        stream = await subscribed(hub, "?after=earliest")
        event = await stream.event()
        assert (event.event, event.data) == ("message", '{"count": 1, "message": "Event 1"}')
        await stream.close()


async def test_the_openapi_document_names_the_parameters(standing):
    async with await fetch(standing.url + "/openapi.json") as stream:
        paths = (await stream.json())["paths"]["/events"]
    names = {"topic", "after", "Last-Event-ID", "poll", "timeout", "envelope", "ticket"}
    names |= {"offset", "live", "cursor"}  # of durable streams
    assert {p["name"] for p in paths["get"]["parameters"]} == names
    body = paths["post"]["requestBody"]["content"]
    assert "topic" in str(body["application/json"])
    assert "application/x-ndjson" in body
    assert paths["post"]["parameters"][0]["name"] == "Idempotency-Key"


async def test_who_stops_takes_no_event_that_it_could_not_deliver(hub, publish, subscribed):
    stream = await subscribed(hub)
    hub.app.state.context.drain.draining = True
    status, problem = await publish(hub, {"topic": "a", "data": "late"})
    assert status == 503
    assert "stopping" in problem["detail"]
    await stream.close()


async def test_the_same_idempotency_key_publishes_once(hub, publish, subscribed):
    stream = await subscribed(hub)
    key = {"Idempotency-Key": '"k-1"'}
    status, answer = await publish(hub, {"topic": "a", "data": "x"}, key)
    again = await fetch(
        hub.url + "/events", method="POST", body=b'{"topic": "a", "data": "x"}', headers=key
    )
    assert (status, again.status, await again.json()) == (201, 201, answer)
    assert again.headers["idempotent-replayed"] == "true"
    status, problem = await publish(hub, {"topic": "a", "data": "other"}, key)
    assert (status, problem["title"]) == (422, "Idempotency key conflict")
    await publish(hub, {"topic": "a", "data": "y"})
    assert [event.data for event in await stream.events(2)] == ["x", "y"]
    await stream.close()


async def test_a_shared_journal_takes_events_until_the_end(hub_of, publish, redis_url):
    async with hub_of(redis_url=redis_url, hub="drained") as hub:
        hub.app.state.context.drain.draining = True
        assert (await publish(hub, {"topic": "a", "data": "late"}))[0] == 201


async def test_templates_and_the_star_select_many_topics(hub, publish, subscribed):
    templates = await subscribed(hub, "?topic=orders/{id}&topic=users{/id}/name&topic=news")
    star = await subscribed(hub, "?topic=*")
    topics = ["orders/7", "orders/7/items", "users/3/name", "news", "new", "orders/8"]
    for topic in topics:
        await publish(hub, {"topic": topic, "data": topic})
    wanted = ["orders/7", "users/3/name", "news", "orders/8"]
    assert [event.data for event in await templates.events(4)] == wanted
    assert [event.data for event in await star.events(6)] == topics
    again = await subscribed(hub, "?topic=orders/{id}&after=earliest")
    assert [event.data for event in await again.events(2)] == ["orders/7", "orders/8"]
    for stream in (templates, star, again):
        await stream.close()


async def test_private_events_need_a_named_topic_and_a_grant_live_and_on_replay(
    hub_of, publish, subscribed, bearer, key
):
    async with hub_of(auth_key=key) as hub:
        writer = bearer("events:publish")

        async def send() -> None:
            for topic in ("mine/1", "other/1"):
                private = {"topic": topic, "data": f"secret {topic}", "private": True}
                await publish(hub, private, writer)
            await publish(hub, {"topic": "mine/1", "data": "open"}, writer)

        async def seen(query: str, count: int, **headers: str) -> list[str]:
            stream = await subscribed(hub, query, **headers)
            if "after" not in query:
                await send()
            data = [event.data for event in await stream.events(count)]
            await stream.close()
            return data

        reader = bearer("events:subscribe:mine/*")
        for after in ("", "&after=earliest"):
            assert await seen("?topic=*" + after, 1, **reader) == ["open"]
            both = ["secret mine/1", "open"]
            assert await seen("?topic={kind}/{id}" + after, 2, **reader) == both
            assert await seen("?topic=mine/1" + after, 2, **reader) == both
        assert (await fetch(f"{hub.url}/events?topic=other/1", headers=reader)).status == 403
        nothing = bearer("events:publish logs:read")
        assert (await fetch(f"{hub.url}/events", headers=nothing)).status == 403


async def test_ndjson_where_it_is_accepted(hub, publish, subscribed):
    stream = await subscribed(hub, "?after=earliest", Accept="application/x-ndjson")
    assert stream.headers["content-type"] == "application/x-ndjson"
    await publish(hub, {"topic": "a", "data": {"n": 1}})
    value = await anext(stream.values())
    assert (value["topic"], value["data"]) == ("a", {"n": 1})
    await stream.close()


async def test_a_long_poll_answers_and_goes_on_from_its_cursor(hub, publish):
    first = asyncio.create_task(poll(hub, "?poll=1&topic=a"))
    await eventually(lambda: hub.app.state.context.limits.open == 1)
    await publish(hub, {"topic": "a", "data": "1"})
    await publish(hub, {"topic": "b", "data": "-"})
    await publish(hub, {"topic": "a", "data": "2"})
    answer = await first
    assert [event["data"] for event in answer["events"]] == ["1"]
    answer = await poll(hub, f"?poll=1&topic=a&after={answer['cursor']}")
    assert [event["data"] for event in answer["events"]] == ["2"]
    answer = await poll(hub, f"?poll=1&topic=a&timeout=0&after={answer['cursor']}")
    assert answer["events"] == []


async def poll(hub, query: str):
    async with await fetch(f"{hub.url}/events{query}") as stream:
        assert stream.headers["content-type"] == "application/json"
        return await stream.json()


async def test_an_envelope_tells_the_topic(hub, publish, subscribed):
    stream = await subscribed(hub, "?envelope=1")
    _, answer = await publish(hub, {"topic": "a", "data": {"n": 1}, "event": "e"})
    event = await stream.event()
    value = orjson.loads(event.data)
    assert (event.event, event.id) == ("e", answer["id"])
    assert (value["topic"], value["id"], value["data"]) == ("a", answer["id"], {"n": 1})
    await stream.close()


def broken(*_, **__):
    raise RuntimeError("a fault")


@pytest.mark.parametrize(
    ("fault", "path"),
    [
        ("eddyline_events.hub.presence.presence.Presence.member", "/events"),
        ("eddyline.broadcast.broadcast.StreamResponse", "/events"),
        ("eddyline.broadcast.broadcast.StreamResponse", "/.well-known/mercure?topic=a"),
    ],
)
async def test_a_fault_between_admission_and_answer_gives_the_permit_back(
    hub_of, monkeypatch, fault, path
):
    async with hub_of(limit_streams=1, anonymous=True) as hub:
        with monkeypatch.context() as patch:
            patch.setattr(fault, broken)
            for _ in range(3):
                async with await fetch(hub.url + path) as stream:
                    assert stream.status == 500
                await eventually(lambda: hub.app.state.context.limits.open == 0)
        async with await fetch(hub.url + path) as stream:
            assert stream.status == 200


async def test_a_fault_before_lines_are_answered_gives_the_permit_back(hub_of, monkeypatch):
    lines = {"Content-Type": "application/x-ndjson"}
    body = b'{"topic": "a", "data": 1}\n'
    async with hub_of(limit_streams=1) as hub:
        with monkeypatch.context() as patch:
            patch.setattr("eddyline_events.http.events.LinePublisher", broken)
            for _ in range(3):
                url = f"{hub.url}/events"
                async with await fetch(url, method="POST", headers=lines, body=body) as stream:
                    assert stream.status == 500
                await eventually(lambda: hub.app.state.context.limits.open == 0)
        async with await fetch(url, method="POST", headers=lines, body=body) as stream:
            assert stream.status == 200
