"""History and topics over HTTP."""

from typing import Any

import pytest

from eddyline_events.hub import history


@pytest.fixture(params=["memory", "redis"])
async def filled(request, hub_of, publish):
    """A hub with 30 events of three topics, the last of them private."""
    more: dict[str, Any] = {}
    if request.param == "redis":
        more = {"redis_url": request.getfixturevalue("redis_url"), "hub": "history"}
        more["hub"] += str(abs(hash(request.node.nodeid)))
    async with hub_of(**more) as hub:
        batch = [
            {"topic": "abc"[n % 3], "data": {"n": n}, "private": n % 3 == 2} for n in range(30)
        ]
        await publish(hub, batch)
        yield hub


async def numbers(asked, hub, query: str) -> list[int]:
    """All pages of a history."""
    found, cursor = [], ""
    for _ in range(100):
        status, page = await asked(hub, f"/events/history?{query}{cursor}")
        assert status == 200
        found += [event["data"]["n"] for event in page["events"]]
        if not page["more"]:
            return found
        cursor = f"&after={page['cursor']}"
    raise AssertionError("there is no end")


async def test_pages_follow_each_other(filled, asked):
    assert await numbers(asked, filled, "topic=a&limit=3") == list(range(0, 30, 3))
    assert await numbers(asked, filled, "limit=7") == [n for n in range(30) if n % 3 != 2]
    assert await numbers(asked, filled, "topic=c") == list(range(2, 30, 3))
    _, page = await asked(filled, "/events/history?topic=a&limit=1")
    assert set(page) == {"events", "cursor", "more"}
    event = page["events"][0]
    assert (event["topic"], event["data"], event["id"]) == ("a", {"n": 0}, page["cursor"])


async def test_what_is_passed_over_is_bounded(filled, asked, monkeypatch):
    monkeypatch.setattr(history, "PAGE", 4)
    monkeypatch.setattr(history, "SCAN", 8)
    _, page = await asked(filled, "/events/history?topic=nothing")
    assert (page["events"], page["more"]) == ([], True)
    assert await numbers(asked, filled, "topic=a") == list(range(0, 30, 3))


async def test_a_cursor_that_is_unknown_or_gone_is_said(filled, asked):
    for after, reason in [("nobodys-id", "unknown"), ("0000.3", "epoch")]:
        status, page = await asked(filled, f"/events/history?topic=a&after={after}&limit=1")
        assert status == 200
        assert page["reset"]["reason"] == reason
        assert page["events"][0]["data"] == {"n": 0}


async def test_topics_are_listed_the_newest_first(filled, asked, publish):
    await publish(filled, {"topic": "a", "data": 1})
    _, page = await asked(filled, "/events/topics")
    assert [item["topic"] for item in page["topics"]] == ["a", "c", "b"]
    assert page["before"] is None
    _, page = await asked(filled, "/events/topics?limit=2")
    _, rest = await asked(filled, f"/events/topics?limit=2&before={page['before']}")
    assert [i["topic"] for i in page["topics"] + rest["topics"]] == ["a", "c", "b"]


async def test_only_what_is_granted(hub_of, publish, asked, bearer, key):
    async with hub_of(auth_key=key) as hub:
        for topic in ("a/1", "b/1", "a/2"):
            await publish(hub, {"topic": topic, "data": topic}, bearer("events:publish"))
        some = bearer("events:subscribe:a/*")
        _, page = await asked(hub, "/events/history", **some)
        assert [event["topic"] for event in page["events"]] == ["a/1", "a/2"]
        _, page = await asked(hub, "/events/topics", **some)
        assert [item["topic"] for item in page["topics"]] == ["a/2", "a/1"]
        assert (await asked(hub, "/events/history?topic=b/1", **some))[0] == 403
        for path in ("/events/history", "/events/topics"):
            assert (await asked(hub, path))[0] == 401


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "", "٣", "1e2"])
async def test_a_bad_limit_is_refused_by_name(hub, asked, limit):
    for path in ("history", "topics", "subscribers"):
        status, problem = await asked(hub, f"/events/{path}?limit={quote(limit)}")
        assert status == 400
        assert "limit=" in problem["detail"]


def quote(text: str) -> str:
    from urllib.parse import quote

    return quote(text)
