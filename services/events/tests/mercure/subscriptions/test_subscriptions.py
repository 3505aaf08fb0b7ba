"""Active subscriptions: over processes, while the journal is away, and to the end of a process."""

import asyncio
import time

import pytest

from eddyline import tasks
from eddyline.errors import Unavailable
from eddyline.journal.memory import MemoryJournal
from eddyline.journal.state import MemoryState
from eddyline.testing import eventually, fetch
from eddyline_events.mercure.auth.permissions import Permissions
from eddyline_events.mercure.subscriptions import subscriptions as mercure_subscriptions
from eddyline_events.mercure.subscriptions.subscriptions import Subscriptions
from eddyline_events.mercure.topics.matcher import Matcher

SUBSCRIPTIONS = "/.well-known/mercure/subscriptions"


class Flaky(MemoryJournal):
    away = False
    refused = 0

    async def append(self, batch):
        if self.away:
            self.refused += 1
            raise Unavailable("the journal is away")
        return await super().append(batch)


@pytest.fixture
def journal(monkeypatch):
    monkeypatch.setattr(tasks, "RETRY", 0.01)
    return Flaky()


def announced(subscriptions: Subscriptions, text: str = "a"):
    return subscriptions.announce([Matcher.parse("exact", text, "")], Permissions())


async def told(journal) -> list[tuple[str, bool]]:
    entries = (await journal.read(None, 100)).entries
    return [(e.topic.split("/")[-2], b'"active":true' in e.frame) for e in entries]


async def test_what_is_there_is_listed_before_its_event(journal):
    subscriptions = Subscriptions(MemoryState(), journal)
    async with subscriptions.run():
        one = announced(subscriptions)
        one.begin()
        await eventually(lambda: journal._window.head.sequence == 1)
        assert [d["match"] for d in await subscriptions.all("1.0")] == ["a"]
        assert await subscriptions.all("0.x") == []
        one.end()
        await eventually(lambda: journal._window.head.sequence == 2)
        assert await subscriptions.all("1.0") == []
    assert await told(journal) == [("a", True), ("a", False)]


async def test_an_outage_delays_and_loses_nothing_and_keeps_the_order(journal):
    subscriptions = Subscriptions(MemoryState(), journal)
    async with subscriptions.run():
        one, two = announced(subscriptions, "one"), announced(subscriptions, "two")
        one.begin()
        await eventually(lambda: journal._window.head.sequence == 1)
        journal.away = True
        two.begin()
        await eventually(lambda: journal.refused)
        one.end()
        journal.away = False
        await eventually(lambda: journal._window.head.sequence == 3)
    assert await told(journal) == [("one", True), ("two", True), ("one", False)]


async def test_who_came_and_went_unseen_was_never_there(journal):
    subscriptions = Subscriptions(MemoryState(), journal)
    for _ in range(3):
        one = announced(subscriptions)
        one.begin()
        one.end()
    async with subscriptions.run():
        announced(subscriptions, "b").begin()
        await eventually(lambda: journal._window.head.sequence == 1)
    assert await told(journal) == [("b", True)]


async def test_a_process_that_stops_says_which_ended(journal):
    subscriptions = Subscriptions(MemoryState(), journal)
    async with subscriptions.run():
        many = [announced(subscriptions, str(n)) for n in range(300)]
        for one in many:
            one.begin()
        await eventually(lambda: journal._window.head.sequence == 300)
        for one in many:
            one.end()
    assert journal._window.head.sequence == 600
    assert await subscriptions.all("1.0") == []


async def test_a_process_does_not_wait_long_for_a_journal_that_is_away(journal, monkeypatch):
    monkeypatch.setattr(mercure_subscriptions, "PATIENCE", 0.05)
    journal.away = True
    subscriptions = Subscriptions(MemoryState(), journal)
    async with asyncio.timeout(20):
        async with subscriptions.run():
            announced(subscriptions).begin()


async def test_processes_of_a_hub_list_and_hear_of_each_others(hub_of, mercure, redis_url):
    settings = {"redis_url": redis_url, "hub": f"mercure-{time.time()}"}
    settings |= mercure.secured | {"mercure_subscriptions": True}
    token = mercure.token_1x(("subscribe", ["*"]))
    async with hub_of(**settings) as here, hub_of(**settings) as there:
        watcher = await mercure.subscribe(here, ("match", "*"), token=token)
        assert (await watcher.event()).event == "mercure"

        async def listed() -> list[str]:
            async with await mercure.get(here, token=token, path=SUBSCRIPTIONS) as answer:
                return [d["match"] for d in (await answer.json())["subscriptions"]]

        stream = await mercure.subscribe(there, ("match", "elsewhere"))
        event = await watcher.event()
        assert (event.event, '"match":"elsewhere"' in event.data) == ("mercure", True)
        assert sorted(await listed()) == ["*", "elsewhere"]
        stream.reset()
        assert '"active":false' in (await watcher.event()).data
        assert await listed() == ["*"]


async def test_matchers_that_are_published_are_bounded(hub_of, mercure):
    """100 of 4 kB came and went as 2 MB of events: 20 such subscribers emptied the journal."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    async with hub_of(mercure_subscriptions=True) as hub:
        for count, status in ((8, 200), (9, 400)):
            body = "&".join(f"topic={n}{'x' * 2000}" for n in range(count)).encode()
            url = hub.url + mercure.path
            async with await fetch(url, method="QUERY", body=body, headers=headers) as answer:
                assert answer.status == status
