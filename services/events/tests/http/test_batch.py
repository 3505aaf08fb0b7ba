"""Arrays of publications, over HTTP: all or none."""

import orjson


async def retained(hub, subscribed, count: int) -> list[str]:
    stream = await subscribed(hub, "?after=earliest")
    data = [event.data for event in await stream.events(count)]
    await stream.close()
    return data


async def test_a_batch_is_answered_in_its_order(hub, publish, subscribed):
    body = [{"topic": "ab"[n % 2], "data": str(n)} for n in range(20)]
    status, answer = await publish(hub, body)
    assert status == 201
    stream = await subscribed(hub, "?after=earliest")
    events = await stream.events(20)
    assert [event.data for event in events] == [str(n) for n in range(20)]
    assert [{"id": event.id} for event in events] == answer
    await stream.close()
    assert await publish(hub, b"  \n[]") == (201, [])


async def test_one_bad_item_and_nothing_is_published(hub, publish, subscribed):
    status, problem = await publish(hub, [{"topic": "a"}, {"topic": ""}, {"topic": "a"}])
    assert status == 400
    assert problem["detail"].startswith("item 1: topic ''")
    assert "nothing was published" in problem["detail"]
    await publish(hub, {"topic": "a", "data": "the only one"})
    assert await retained(hub, subscribed, 1) == ["the only one"]


async def test_too_many_too_large(hub_of, publish):
    async with hub_of(max_batch_events=3, max_batch_bytes=2000, max_event_bytes=500) as hub:
        assert (await publish(hub, [{"topic": "a"}] * 3))[0] == 201
        status, problem = await publish(hub, [{"topic": "a"}] * 4)
        assert (status, "EVENTS_MAX_BATCH_EVENTS" in problem["detail"]) == (413, True)
        status, problem = await publish(hub, [{"topic": "a", "data": "x" * 2000}])
        assert (status, "EVENTS_MAX_BATCH_BYTES" in problem["detail"]) == (413, True)
        status, problem = await publish(hub, [{"topic": "a"}, {"topic": "a", "data": "x" * 501}])
        assert (status, problem["detail"][:7]) == (413, "item 1:")
        small = [{"topic": "a", "data": "x" * 400}] * 3
        assert len(orjson.dumps(small)) > 500
        assert (await publish(hub, small))[0] == 201


async def test_the_same_key_again_publishes_nothing(hub, publish, subscribed):
    key = {"Idempotency-Key": "one"}
    body = [{"topic": "a", "data": "1"}, {"topic": "a", "data": "2"}]
    first = await publish(hub, body, key)
    assert first == await publish(hub, body, key)
    status, problem = await publish(hub, [body[0], {"topic": "a", "data": "3"}], key)
    assert (status, problem["detail"][:7]) == (422, "item 1:")
    await publish(hub, {"topic": "a", "data": "last"})
    assert await retained(hub, subscribed, 3) == ["1", "2", "last"]
