"""Presence over HTTP: the list of subscribers, in which a reconnect is no leave."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from eddyline.auth.principal import UNRESTRICTED, Principal, parse_scopes
from eddyline.errors import Unavailable
from eddyline.journal.state import MemoryState
from eddyline.tasks import background
from eddyline.testing import eventually
from eddyline_events.hub.presence import presence
from eddyline_events.hub.presence.presence import Presence, Present
from eddyline_events.hub.selecting.selection import Selection


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "TICK", 0.02)


async def listed(asked: Any, hub: Any, topic: str | None, expected: list[str | None]) -> list[Any]:
    """Waits until those subjects are there, and returns their records."""
    query = "" if topic is None else f"?topic={topic}"

    async def found() -> tuple[list[Any]] | None:
        status, answer = await asked(hub, f"/events/subscribers{query}")
        assert status == 200
        subjects = [record["subject"] for record in answer["subscribers"]]
        return (answer["subscribers"],) if subjects == expected else None

    (records,) = await eventually(found)
    return records  # type: ignore[no-any-return]


async def test_who_is_subscribed_to_a_topic(hub, subscribed, asked):
    before = time.time()
    one = await subscribed(hub, "?topic=a&topic=b")
    two = await subscribed(hub, "?topic=a{n}")
    three = await subscribed(hub)
    found = await listed(asked, hub, "a1", [None, None])
    assert [record["topics"] for record in found] == [["a{n}"], ["*"]]
    found = await listed(asked, hub, "b", [None, None])
    assert [record["topics"] for record in found] == [["a", "b"], ["*"]]
    assert found[0]["id"] == one.headers["eddyline-subscriber"]
    assert before <= found[0]["since"] <= time.time()
    await listed(asked, hub, None, [None] * 3)
    status, answer = await asked(hub, "/events/subscribers?limit=1")
    assert (status, answer["count"], len(answer["subscribers"])) == (200, 3, 1)
    for stream in (one, two, three):
        await stream.close()
    # Of those without a name nobody can tell whether they come back.
    await listed(asked, hub, None, [])


async def test_a_scope_is_needed_for_the_topic_that_is_asked_for(hub_of, asked, bearer, key):
    async with hub_of(auth_key=key) as hub:
        some = bearer("events:presence:a/*")
        assert (await asked(hub, "/events/subscribers?topic=a/1", **some))[0] == 200
        for path in ("/events/subscribers?topic=b", "/events/subscribers"):
            status, problem = await asked(hub, path, **some)
            assert status == 403
            assert "events:presence" in problem["detail"]
        assert (await asked(hub, "/events/subscribers", **bearer("events:presence")))[0] == 200
        assert (await asked(hub, "/events/subscribers"))[0] == 401


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The clock of presence; it goes `ahead` seconds before ours."""
    clock = SimpleNamespace(ahead=0.0, time=lambda: time.time() + clock.ahead)
    monkeypatch.setattr(presence, "time", clock)
    return clock


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The subjects whose streams have ended, in any process."""
    subjects: list[str | None] = []
    leave = Presence.left

    def noted(self: Presence, present: Present) -> None:
        leave(self, present)
        subjects.append(present.subject)

    monkeypatch.setattr(Presence, "left", noted)
    return subjects


async def test_processes_list_each_others_and_a_reconnect_does_not_flap(
    hub_of, subscribed, asked, bearer, key, redis_url, clock, left
):
    settings = {"redis_url": redis_url, "hub": f"presence-{time.time()}", "auth_key": key}

    class Asked:
        """`asked` with a token."""

        async def __call__(self, hub, path):
            return await asked(hub, path, **bearer("events:presence"))

    async with hub_of(presence_grace=60.0, **settings) as one:
        async with hub_of(presence_grace=60.0, **settings) as two:
            alice = await subscribed(one, "?topic=a", **bearer("events:subscribe"))
            bob = await subscribed(two, "?topic=a", **bearer("events:subscribe", sub="bob"))
            for hub in (one, two):
                await listed(Asked(), hub, "a", ["alice", "bob"])
            # She comes back on the other process; at no moment is she away, or there twice.
            seen: set[tuple[str, ...]] = set()
            async with background(watch(Asked(), two, seen)):
                alice.reset()
                await eventually(lambda: left == ["alice"])
                again = await subscribed(two, "?topic=a", **bearer("events:subscribe"))
                for hub in (one, two):
                    await listed(Asked(), hub, "a", ["bob", "alice"])
            assert seen == {("alice", "bob")}
            again.reset()
            await eventually(lambda: left == ["alice", "alice"])
            clock.ahead = 61.0
            await listed(Asked(), one, "a", ["bob"])
            await bob.close()


async def watch(asked: Any, hub: Any, seen: set[tuple[str, ...]]) -> None:
    while True:
        _, answer = await asked(hub, "/events/subscribers?topic=a")
        seen.add(tuple(sorted(record["subject"] for record in answer["subscribers"])))


async def test_what_could_not_be_told_is_told_later() -> None:
    class Away(MemoryState):
        shared = True
        away = True
        refused = 0

        async def put(self, *args: Any) -> None:  # type: ignore[override]
            if self.away:
                self.refused += 1
                raise Unavailable("away")
            await super().put(*args)

    state = Away()
    there = Presence(state, 0.0)
    async with there.run():
        member = there.member(
            Principal("alice", None, ()), Selection.from_texts(UNRESTRICTED, ["a"])
        )
        there.joined(member)
        await eventually(lambda: state.refused)
        assert await there.subscribers("a") == []
        state.away = False
        found = await eventually(lambda: there.subscribers("a"))
        assert found[0]["id"] == member.id
        there.left(member)

        async def gone() -> bool:
            return not await there.subscribers("a")

        await eventually(gone)


async def test_who_is_not_granted_a_topic_is_not_subscribed_to_it() -> None:
    there = Presence(MemoryState(), 0.0)
    some = Principal("alice", None, parse_scopes("events:subscribe:a/*"))
    there.joined(there.member(some, Selection.from_texts(some, ["*"])))
    assert len(await there.subscribers("a/1")) == 1
    assert await there.subscribers("b") == []
