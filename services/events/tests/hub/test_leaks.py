"""Things that a token does not grant are not told to its holder either."""

import time

import jwt
import pytest

from eddyline.testing import eventually, fetch


@pytest.fixture
def secured(mercure, hub_of):
    # Without an issuer: tokens of the hub's own API name none here.
    return lambda **more: hub_of(**mercure.secured | {"auth_issuer": None} | more)


async def test_subscriptions_are_read_by_those_who_may_see_presence(
    secured, mercure, asked, bearer
):
    """They have names of subscribers, and payloads."""
    async with secured(mercure_subscriptions=True) as hub:
        token = mercure.token_0x(subscribe=["*"], payload={"user": "carol@example.org"})
        stream = await mercure.subscribe(hub, ("topic", "chat/1"), token=token)

        async def read(path: str, scope: str) -> str:
            status, answer = await asked(hub, path, **bearer(scope))
            return f"{status} {answer}"

        everything = "/events/history?topic=%7B%2Bx%7D"

        async def told_to_those() -> bool:
            return "carol" in await read(everything, "events:subscribe events:presence")

        await eventually(told_to_those)
        inside = "/events/history?topic=/.well-known/mercure/subscriptions/chat%252F1"
        for path in (everything, "/events/history", "/events/topics", inside):
            told = await read(path, "events:subscribe")
            assert "carol" not in told
            assert "subscriptions/chat" not in told.partition("detail")[0], path
        assert (await read(inside, "events:subscribe")).startswith("403")
        assert "subscriptions/chat" in await read(
            "/events/topics", "events:subscribe events:presence"
        )
        await stream.close()


async def test_presence_tells_the_topics_that_its_scope_covers(
    hub_of, key, bearer, subscribed, asked
):
    async with hub_of(auth_key=key) as hub:
        query = "?topic=room/1&topic=private/area-0&topic=room/%7Bx%7D&topic=u/%7Bx%7D"
        stream = await subscribed(hub, query, **bearer("events:subscribe"))
        path = "/events/subscribers?topic=room/1"
        _, some = await asked(hub, path, **bearer("events:presence:room/*"))
        assert [one["topics"] for one in some["subscribers"]] == [["room/1", "room/{x}"]]
        _, all = await asked(hub, path, **bearer("events:presence"))
        assert len(all["subscribers"][0]["topics"]) == 4
        await stream.close()


async def test_an_event_is_shown_under_a_topic_that_its_reader_may_know(
    secured, mercure, asked, bearer, subscribed
):
    async with secured() as hub:
        reader = bearer("events:subscribe:public/*")
        streams = [
            await subscribed(hub, "?topic=public/alt&envelope=1", **reader),
            await subscribed(hub, "?topic=public/%7Bx%7D", Accept="application/x-ndjson", **reader),
        ]
        token = mercure.token_0x(publish=["*"])
        fields = ("topic", "secret/name"), ("topic", "public/alt"), ("private", "on")
        answer, _ = await mercure.post(hub, *fields, ("data", "x"), token=token)
        assert answer.status == 200
        assert (await streams[0].event()).data.startswith('{"topic":"public/alt"')
        line = b""
        while b"public/alt" not in line:
            line += await streams[1].read()
        assert b"secret" not in line
        for topic in ("public/alt", "public/%7Bx%7D"):
            _, history = await asked(hub, f"/events/history?topic={topic}", **reader)
            assert [event["topic"] for event in history["events"]] == ["public/alt"]
        for stream in streams:
            await stream.close()


@pytest.mark.parametrize("typ", ["dpop+jwt", "logout+jwt", "secevent+jwt", "id+jwt", "JOSE"])
async def test_a_token_of_another_kind_grants_nothing(hub_of, key, typ):
    """RFC 8725 section 3.11: the same issuer signs them, for other purposes."""
    claims = {"sub": "alice", "scope": "events:subscribe", "exp": time.time() + 60}
    async with hub_of(auth_key=key) as hub:
        for given, status in ((typ, 401), ("JWT", 200), ("application/AT+JWT", 200)):
            token = jwt.encode(claims, key, "HS256", {"typ": given})
            url = hub.url + "/events?poll=1&timeout=0"
            async with await fetch(url, headers={"Authorization": f"Bearer {token}"}) as answer:
                assert answer.status == status, given


async def test_tokens_without_a_subject_are_principals_of_their_own(hub_of, publish, key):
    def headers(number: int, **more: str) -> dict[str, str]:
        claims = {"scope": "events:publish", "exp": time.time() + 60, "jti": str(number)}
        return {"Authorization": f"Bearer {jwt.encode(claims, key, 'HS256')}"} | more

    async with hub_of(auth_key=key, publish_rate=0.001) as hub:
        body = {"topic": "a", "data": 1}
        first, other = headers(1), headers(2)
        for status, who in ((201, first), (429, first), (201, other)):
            assert (await publish(hub, body, who))[0] == status
    async with hub_of(auth_key=key) as hub:
        _, one = await publish(hub, {"topic": "a"}, headers(1, **{"Idempotency-Key": "k"}))
        status, two = await publish(hub, {"topic": "b"}, headers(2, **{"Idempotency-Key": "k"}))
        assert status == 201
        assert one != two
