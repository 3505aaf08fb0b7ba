"""Namespaces: options of topics by their beginning, in one file."""

from pathlib import Path

import pytest

from eddyline.errors import SettingsError
from eddyline.testing import fetch
from eddyline_events.hub.options import Namespaces

FILE = """
["orders/"]
max_event_bytes = 10
publish_rate = 0.001

["orders/vip/"]
max_event_bytes = 100

["rooms/"]
presence = false

["devices/"]
history_count = 2
last = 1

["open/"]
anonymous = true

["open/staff/"]
anonymous = false
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "namespaces.toml"
    path.write_text(text)
    return path


def test_the_longest_prefix_counts(tmp_path: Path) -> None:
    namespaces = Namespaces.read(written(tmp_path, FILE))
    assert namespaces.of("orders/7").max_event_bytes == 10
    assert namespaces.of("orders/vip/7").max_event_bytes == 100
    assert namespaces.of("orders").max_event_bytes is None
    assert Namespaces.read(None).of("orders/7").max_event_bytes is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('["a/"]\nmax_bytes = 1', "max_bytes: no such option; expected max_event_bytes"),
        ('["a/"]\nmax_event_bytes = "1"', "max_event_bytes = '1': must be a number"),
        ('["a/"]\npublish_rate = -1', "publish_rate = -1: must be a number of 0 or more"),
        ('["a/"]\npresence = 1', "presence = 1: must be true or false"),
        ('["a/"]\nmax_event_bytes = true', "max_event_bytes = True: must be a number"),
        ('["a/"]\nhistory_count = 0', "history_count = 0: must be a whole number of 1 or more"),
        ('["a/"]\nhistory_bytes = 1.5', "history_bytes = 1.5: must be a whole number"),
        ('["a/"]\nhistory_age = 0', "history_age = 0: must be a number of seconds above 0"),
        ('["a/"]\nhistory_age = 61', "history_age = 61: no event is kept for longer than"),
        ('["a/"]\nlast = 1', "last = 1: must be at most history_count"),
        ('["a/"]\nhistory_count = 1\nlast = 2', "last = 2: must be at most history_count"),
        ('["a/"]\nanonymous = 1', "anonymous = 1: must be true or false"),
        ("a = 1", "'a'.: must be a table"),
        ('["a/"', "namespaces.toml: "),
    ],
)
def test_a_bad_option_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        Namespaces.read(written(tmp_path, text), journal_age=60)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"EVENTS_NAMESPACES=.*No such file"):
        Namespaces.read(tmp_path / "none.toml")


async def test_sizes_and_rates_hold_for_their_topics(hub_of, publish, mercure, tmp_path):
    async with hub_of(namespaces=written(tmp_path, FILE)) as hub:
        large = "x" * 50
        for topic, data, status in (
            ("orders/7", large, 413),
            ("orders/vip/7", large, 201),
            ("orders/7", "x", 201),
            ("orders/8", "x", 429),
            ("orders/vip/7", "x", 201),
            ("other", large, 201),
        ):
            assert (await publish(hub, {"topic": topic, "data": data}))[0] == status, topic
        answer, _ = await mercure.post(hub, ("topic", "a"), ("topic", "orders/7"), ("data", large))
        assert answer.status == 413
        batch = [{"topic": "other"}, {"topic": "orders/7", "data": large}]
        assert (await publish(hub, batch))[0] == 413


async def test_presence_can_be_left_out(hub_of, subscribed, asked, tmp_path):
    async with hub_of(namespaces=written(tmp_path, FILE)) as hub:
        hidden = await subscribed(hub, "?topic=rooms/1")
        seen = await subscribed(hub, "?topic=rooms/1&topic=news")
        for path in ("/events/subscribers", "/events/subscribers?topic=rooms/1"):
            _, told = await asked(hub, path)
            assert [one["topics"] for one in told["subscribers"]] == [["news"]]
        await hidden.close()
        await seen.close()


async def test_a_noisy_topic_evicts_no_others_history(hub_of, publish, asked, tmp_path):
    """Its readers are told that they missed some, and no others."""
    options = {"namespaces": written(tmp_path, FILE), "journal_bytes": 100_000}
    async with hub_of(**options) as hub:
        _, first = await publish(hub, {"topic": "quiet", "data": "1"})
        for n in range(20):
            await publish(hub, [{"topic": "devices/7", "data": f"{n}.{m}"} for m in range(50)])
        for topic, data in (("quiet", ["1"]), ("devices/7", ["19.48", "19.49"])):
            _, found = await asked(hub, f"/events/history?topic={topic}")
            assert [event["data"] for event in found["events"]] == data
            assert "reset" not in found
        after = f"after={first['id']}"
        _, found = await asked(hub, f"/events/history?topic=quiet&{after}")
        assert (found["events"], "reset" in found) == ([], False)
        _, found = await asked(hub, f"/events/history?topic=devices/7&{after}")
        assert [event["data"] for event in found["events"]] == ["19.48", "19.49"]
        assert found["reset"]["reason"] == "trimmed"
        _, polled = await asked(hub, f"/events?poll=1&timeout=0&topic=quiet&{after}")
        assert (polled["events"], "reset" in polled) == ([], False)
        _, polled = await asked(hub, f"/events?poll=1&timeout=0&topic=devices/7&{after}")
        # Those that this process still has at hand are told, and so nothing is missed.
        assert polled["events"][0]["data"] == "0.0"
        assert "reset" not in polled
        _, polled = await asked(hub, "/events?poll=1&timeout=0&topic=devices/7&after=earliest")
        assert [event["data"] for event in polled["events"]] == ["19.48", "19.49"]
        assert "reset" not in polled


async def test_a_newcomer_gets_the_last_events_of_its_topics(
    hub_of, publish, asked, subscribed, mercure, tmp_path
):
    """Each of the topics that have a history, and no other's; then the events that come, once."""
    async with hub_of(namespaces=written(tmp_path, FILE)) as hub:
        for data in ("1", "2"):
            for topic in ("devices/1", "devices/2", "other"):
                await publish(hub, {"topic": topic, "data": f"{topic}={data}"})
        query = "topic=devices/1&topic=devices/2&topic=other&topic=devices/3"
        stream = await subscribed(hub, f"?{query}")
        await publish(hub, {"topic": "other", "data": "now"})
        await publish(hub, {"topic": "devices/1", "data": "now"})
        events = [await stream.event() for _ in range(4)]
        assert [event.data for event in events] == ["devices/1=2", "devices/2=2", "now", "now"]
        after = await subscribed(hub, f"?{query}&after={events[2].id}")
        assert (await after.event()).id == events[3].id
        _, none = await asked(hub, "/events?poll=1&timeout=0&topic=devices/3&topic=other")
        assert (none["events"], "reset" in none) == ([], False)
        update = await mercure.subscribe(hub, ("topic", "devices/2"))
        assert (await update.event()).data == "devices/2=2"
        for each in (stream, after, update):
            await each.close()


async def test_a_namespace_is_open_to_clients_without_a_token(
    hub_of, publish, subscribed, asked, bearer, key, tmp_path
):
    """Its public events, by both protocols; the longest prefix counts, and nothing else is open."""
    options = {"auth_key": key, "namespaces": written(tmp_path, FILE)}
    async with hub_of(**options) as hub:
        assert (await asked(hub, "/events?topic=closed"))[0] == 401
        assert (await asked(hub, "/events?topic=open/staff/1"))[0] == 401
        assert (await asked(hub, "/events/history?topic=open/1"))[0] == 401
        assert (await asked(hub, "/events?topic=open/1", Authorization="Bearer x"))[0] == 401
        named = await subscribed(hub, "?topic=open/1&after=earliest")
        all_public = await subscribed(hub)
        theirs = await subscribed(hub, "?topic=open/1", **bearer("events:subscribe:closed"))
        path = "/.well-known/mercure?topic=*"
        by_mercure = await fetch(hub.url + path)
        granted = bearer("events:publish")
        sent = [
            {"topic": "open/1", "data": "private", "private": True},
            {"topic": "closed", "data": "closed"},
            {"topic": "open/staff/1", "data": "staff"},
            {"topic": "open/1", "data": "open"},
        ]
        for event in sent:
            assert (await publish(hub, event, granted))[0] == 201
        for stream in (named, all_public, theirs, by_mercure):
            assert (await stream.event()).data == "open"
            await stream.close()
        assert (await publish(hub, sent[3]))[0] == 401


async def test_a_namespace_can_be_closed_where_all_are_open(hub_of, key, bearer, publish, tmp_path):
    options = {"auth_key": key, "anonymous": True, "namespaces": written(tmp_path, FILE)}
    async with hub_of(**options) as hub:
        stream = await fetch(hub.url + "/.well-known/mercure?topic=*")
        for topic in ("open/staff/1", "other"):
            await publish(hub, {"topic": topic, "data": topic}, bearer("events:publish"))
        assert (await stream.event()).data == "other"
        await stream.close()
