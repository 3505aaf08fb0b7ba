"""Kicks over HTTP: streams end everywhere, and a kicked subject does not come back."""

import time

import orjson
import pytest

from eddyline.auth.principal import Principal
from eddyline.errors import Forbidden, Unavailable
from eddyline.journal.state import MemoryState
from eddyline.testing import eventually, fetch
from eddyline_events.hub.presence import kick
from eddyline_events.hub.presence.kick import Kicks
from eddyline_events.hub.presence.presence import Presence


async def test_a_subject_is_kicked_and_refused(hub_of, subscribed, asked, bearer, key):
    async with hub_of(auth_key=key, kick_seconds=2) as hub:
        alice, bob = bearer("events:subscribe"), bearer("events:subscribe", sub="bob")
        stream, other = await subscribed(hub, "", **alice), await subscribed(hub, "", **bob)
        body = orjson.dumps({"subject": "alice"})
        assert (await asked(hub, "/events/kick", "POST", body, **alice))[0] == 403
        admin = bearer("events:kick", sub="admin")
        assert await asked(hub, "/events/kick", "POST", body, **admin) == (204, None)
        assert await stream.events() == []
        assert stream.clean
        # 403 and not a soft refusal: an EventSource does not come back.
        accept = {"Accept": "text/event-stream"}
        refused = await fetch(hub.url + "/events", headers=alice | accept)
        assert refused.status == 403
        assert "kicked" in (await refused.json())["detail"]
        assert (await asked(hub, "/events/tickets", "POST", **alice))[0] == 403
        welcome = await subscribed(hub, "", **bob)
        for one in (other, welcome):
            assert one.status == 200
            await one.close()

        async def back() -> bool:
            async with await fetch(hub.url + "/events", headers=alice) as again:
                return again.status == 200

        await eventually(back)


async def test_a_subscribers_token_is_refused_and_no_other_of_its_subject(
    hub_of, subscribed, asked, bearer, key
):
    async with hub_of(auth_key=key) as hub:
        phone = bearer("events:subscribe events:kick", jti="phone")
        laptop = bearer("events:subscribe", jti="laptop")
        stream, other = await subscribed(hub, "", **phone), await subscribed(hub, "", **laptop)
        path = "/events/subscribers/" + stream.headers["eddyline-subscriber"]
        assert (await asked(hub, path, "DELETE", **laptop))[0] == 403
        assert (await asked(hub, path, "DELETE", **phone))[0] == 204
        assert await stream.events() == []

        async def refused() -> bool:
            return (await fetch(hub.url + "/events", headers=phone)).status == 403

        await eventually(refused)
        assert (await fetch(hub.url + "/events", headers=laptop)).status == 200
        await other.close()


@pytest.mark.parametrize("signals", ["arrive", "are lost"])
async def test_all_processes_kick_also_who_starts_later(
    hub_of, subscribed, asked, bearer, key, redis_url, signals, monkeypatch
):
    if signals == "are lost":
        monkeypatch.setattr(kick, "TICK", 0.1)
        monkeypatch.setattr(Kicks, "on_signal", lambda self, message: None)
    settings = {"redis_url": redis_url, "hub": f"kick-{time.time()}", "auth_key": key}
    alice = bearer("events:subscribe", jti="t-1")
    async with hub_of(**settings) as one:
        async with hub_of(**settings) as two:
            stream = await subscribed(two, "", **alice)
            body = orjson.dumps({"token": "t-1"})
            status, _ = await asked(one, "/events/kick", "POST", body, **bearer("events:kick"))
            assert status == 204
            assert await stream.events() == []
            for hub in (one, two):
                assert (await fetch(hub.url + "/events", headers=alice)).status == 403
        async with hub_of(**settings) as three:

            async def refused() -> bool:
                return (await fetch(three.url + "/events", headers=alice)).status == 403

            await eventually(refused)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"subject": ""}',
        b'{"subject": 7}',
        b'{"who": "alice"}',
        b'{"subject": "a", "token": "b"}',
    ],
)
async def test_whom_must_be_said(hub, asked, body):
    status, problem = await asked(hub, "/events/kick", "POST", body)
    assert status == 400
    assert "JSON" in problem["detail"] or "subscriber, subject, token" in problem["detail"]


async def test_a_missing_name_is_nobodys() -> None:
    class Signals:
        async def signal(self, message: bytes) -> None:
            kicks.on_signal(message)

    kicks = Kicks(MemoryState(), Signals(), Presence(MemoryState(), 0.0), 60)
    kicks.on_signal(b"something else")
    await kicks.kick("subject", "None")
    await kicks.kick("token", "None")
    kicks.require_not_kicked(Principal(None, None, (), None))
    with pytest.raises(Forbidden, match="kicked"):
        kicks.require_not_kicked(Principal("None", None, ()))


async def test_who_was_let_in_a_moment_before_is_ended(hub_of, subscribed, bearer, key):
    async with hub_of(auth_key=key) as hub:
        kicks = Kicks.require_not_kicked
        try:
            Kicks.require_not_kicked = lambda self, principal: None  # type: ignore[method-assign]
            admin = bearer("events:kick events:subscribe", sub="admin")
            body = orjson.dumps({"subject": "alice"})
            await (
                await fetch(hub.url + "/events/kick", method="POST", body=body, headers=admin)
            ).close()
            stream = await fetch(hub.url + "/events", headers=bearer("events:subscribe"))
            assert await stream.events() == []
        finally:
            Kicks.require_not_kicked = kicks  # type: ignore[method-assign]
        await eventually(lambda: hub.app.state.context.limits.open == 0)


class Full(MemoryState):
    """The state of a Redis that is full."""

    async def put(self, kind: str, key: str, value: bytes, seconds: float | None = None) -> None:
        raise Unavailable("Redis does not take it now")


async def test_a_kick_holds_here_and_is_told_where_it_cannot_be_kept() -> None:
    told: list[bytes] = []

    class Signals:
        async def signal(self, message: bytes) -> None:
            told.append(message)

    state = Full()
    kicks = Kicks(state, Signals(), Presence(state, 0.0), 60.0)
    with pytest.raises(Unavailable):
        await kicks.kick("subject", "alice")
    with pytest.raises(Forbidden):
        kicks.require_not_kicked(Principal("alice", None, ()))
    assert len(told) == 1
