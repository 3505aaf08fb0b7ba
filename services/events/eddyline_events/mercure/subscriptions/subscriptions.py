"""Active subscriptions of the Mercure protocol: events when one begins or ends, and what there is.

They are kept by `State`, over all processes of the hub; the events are private updates in the hub's
own namespace.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import quote

import orjson

from eddyline.errors import Unavailable
from eddyline.journal.base import Journal, NewEntry
from eddyline.journal.state import State
from eddyline_events.hub.namespace import HUB_TYPE, PATH
from eddyline_events.mercure.auth.permissions import Permissions, Revision
from eddyline_events.mercure.publication import new_id
from eddyline_events.mercure.topics.matcher import Matcher

SUBSCRIPTIONS = f"{PATH}/subscriptions"
CONTEXT_0X = "https://mercure.rocks/"

#: Seconds until what the state or the journal could not take is tried again.
TRY_AGAIN = 1.0

#: Seconds that a process which stops may take to say which subscriptions ended.
LAST_WORDS = 3.0

#: Subscribers that are written of in one go.
BATCH = 128

_KIND = "mercure"

Document = dict[str, Any]


def path_of(*parts: str) -> str:
    """The URL, and topic, of subscriptions: each part is encoded once, as a whole (RFC 6570)."""
    return "/".join((SUBSCRIPTIONS, *(quote(part, safe="") for part in parts)))


def document(matcher: Matcher, subscriber: str, payload: Any) -> Document:
    """What is said of one subscription, in the terms of the revision that it was made by."""
    found: Document
    if matcher.kind == "selector":
        found = {
            "@context": CONTEXT_0X,
            "id": path_of(matcher.text, subscriber),
            "type": "Subscription",
            "topic": matcher.text,
        }
    else:
        found = {
            "id": path_of(matcher.kind, matcher.text, subscriber),
            "type": "subscription",
            "match_type": matcher.kind,
            "match": matcher.text,
        }
    found |= {"subscriber": subscriber, "active": True}
    return found if payload is None else found | {"payload": payload}


class Subscriptions:
    """One for each hub and process; use it within `async with run()`."""

    def __init__(self, state: State, journal: Journal) -> None:
        self._state = state
        self._journal = journal
        #: What is not yet said, by subscriber and whether it is there. Bounded: who comes and goes
        #: meanwhile was never there.
        self._changes: dict[tuple[str, bool], list[Document]] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()

    def announce(self, matchers: Iterable[Matcher], permissions: Permissions) -> "Announced":
        """Those of one connection. Its id is new: no client can choose or share it."""
        subscriber = new_id()
        documents = [document(m, subscriber, permissions.payload(m.text)) for m in matchers]
        return Announced(self, subscriber, documents)

    async def all(self, revision: Revision) -> list[Document]:
        """Those that were made by one revision, in every process; raises Unavailable."""
        kind = "Subscription" if revision == "0.x" else "subscription"
        found = [orjson.loads(value) for value in (await self._state.all(_KIND)).values()]
        return sorted((d for d in found if d["type"] == kind), key=lambda d: str(d["id"]))

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        worker = asyncio.create_task(self._work())
        try:
            yield
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS):
                    while self._changes or not self._idle.is_set():
                        await self._idle.wait()
                        await asyncio.sleep(0)
            worker.cancel()

    def change(self, subscriber: str, active: bool, documents: list[Document]) -> None:
        if not active and self._changes.pop((subscriber, True), None) is not None:
            return
        self._changes[subscriber, active] = documents
        self._idle.clear()
        self._wake.set()

    async def _work(self) -> None:
        while True:
            if not self._changes:
                self._idle.set()
                self._wake.clear()
                await self._wake.wait()
            batch = dict(list(self._changes.items())[:BATCH])
            for key in batch:
                del self._changes[key]
            try:
                await self._write(batch)
            except Unavailable:
                self._changes = batch | self._changes
                await asyncio.sleep(TRY_AGAIN)

    async def _write(self, batch: dict[tuple[str, bool], list[Document]]) -> None:
        """First what is, then the event of it: whoever hears of one and asks finds it."""
        said = [(found, active) for (_, active), found in batch.items()]
        each = [(found, active) for documents, active in said for found in documents]
        await asyncio.gather(*(self._keep(found, active) for found, active in each))
        await self._journal.append([_entry(found | {"active": active}) for found, active in each])

    async def _keep(self, found: Document, active: bool) -> None:
        if active:
            await self._state.put(_KIND, found["id"], orjson.dumps(found))
        else:
            await self._state.drop(_KIND, found["id"])


class Announced:
    """The subscriptions of one connection, in events and in the list."""

    __slots__ = ("_documents", "_subscriber", "_subscriptions")

    def __init__(
        self, subscriptions: Subscriptions, subscriber: str, documents: list[Document]
    ) -> None:
        self._subscriptions = subscriptions
        self._subscriber = subscriber
        self._documents = documents

    def begin(self) -> None:
        self._subscriptions.change(self._subscriber, True, self._documents)

    def end(self) -> None:
        self._subscriptions.change(self._subscriber, False, self._documents)


def _entry(found: Document) -> NewEntry:
    event = None if "@context" in found else HUB_TYPE
    data = orjson.dumps(found).decode()
    return NewEntry(found["id"], data, event, new_id(), private=True, json=True)
