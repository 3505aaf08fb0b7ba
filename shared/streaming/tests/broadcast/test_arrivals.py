"""Long polls wait for an entry of their topics, and for no other."""

import asyncio
import time

from eddyline.broadcast.broadcast import Topics
from eddyline.broadcast.topic_index import Arrivals
from eddyline.journal.base import Entry, NewEntry
from eddyline.journal.cursor import Cursor


def entry(topic: str, sequence: int) -> Entry:
    return Entry.from_new(NewEntry(topic, "x"), Cursor("e", sequence), time.time())


async def test_an_entry_answers_those_that_wait_for_it() -> None:
    arrivals = Arrivals()

    def wait(topic: str, after: int) -> "asyncio.Task[None]":
        selector = Topics(frozenset({topic}))
        return asyncio.create_task(arrivals.wait(selector, Cursor("e", after)))

    mine, twin, ahead, others = wait("a", 3), wait("a", 3), wait("a", 4), wait("b", 3)
    await asyncio.sleep(0)
    arrivals.push(entry("a", 4))
    await asyncio.gather(mine, twin)
    assert not ahead.done()
    assert not others.done()
    arrivals.push(entry("a", 5))
    await ahead
    arrivals.answer()
    await others
    arrivals.push(entry("a", 6))
    assert arrivals._index.topics == 0


async def test_a_caller_that_is_cancelled_is_forgotten() -> None:
    arrivals = Arrivals()
    waiting = asyncio.create_task(arrivals.wait(Topics(frozenset({"a"})), Cursor("e", 1)))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert arrivals._index.topics == 0
