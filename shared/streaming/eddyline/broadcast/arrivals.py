"""Callers that wait for the next entry of their selection, without a stream: long polls."""

import asyncio

from eddyline.broadcast.audience import Selector
from eddyline.broadcast.topic_index import TopicIndex
from eddyline.journal.base import Entry
from eddyline.journal.cursor import Cursor


class _Wait:
    """One caller. Two of one selection are two."""

    __slots__ = ("after", "come", "selector")

    def __init__(self, selector: Selector, after: Cursor) -> None:
        self.selector = selector
        self.after = after
        self.come = asyncio.Event()


class Arrivals:
    """All callers of one broadcast."""

    def __init__(self) -> None:
        self._waits: set[_Wait] = set()
        self._index: TopicIndex[_Wait] = TopicIndex()

    async def wait(self, selector: Selector, after: Cursor) -> None:
        """Returns at an entry after a cursor that matches, or at `answer`."""
        wait = _Wait(selector, after)
        self._waits.add(wait)
        self._index.add(wait)
        try:
            await wait.come.wait()
        finally:
            self._waits.discard(wait)
            self._index.remove(wait)

    def push(self, entry: Entry) -> None:
        """Called with each entry, in order."""
        if not self._waits:
            return
        for wait in self._index.candidates(entry):
            if entry.cursor.sequence > wait.after.sequence and wait.selector.matches(entry):
                wait.come.set()

    def answer(self) -> None:
        """Called where entries are passed over, or no more will come: all look for themselves."""
        for wait in self._waits:
            wait.come.set()
