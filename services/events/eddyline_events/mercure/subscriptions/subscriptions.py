"""Active subscriptions of the Mercure protocol: their list, and events when one begins or ends.

`State` keeps them, over all processes of the hub. The events are private updates in the hub's own
namespace.
"""

import asyncio
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any
from urllib.parse import quote

import orjson

from eddyline.errors import BadRequest
from eddyline.journal.base import Journal, NewEntry
from eddyline.journal.state import State
from eddyline.tasks import WriteBehind
from eddyline_events.hub.namespace import HUB_TYPE, PATH
from eddyline_events.mercure.auth.permissions import Permissions, Revision
from eddyline_events.mercure.publication import new_id
from eddyline_events.mercure.topics.matcher import Matcher

SUBSCRIPTIONS = f"{PATH}/subscriptions"
CONTEXT_0X = "https://mercure.rocks/"

#: Seconds that a process which stops waits for a store that is away, to write which ended.
PATIENCE = 3.0

#: Subscribers whose changes are written together.
WRITTEN_TOGETHER = 128

#: Bytes of the matchers of one subscriber: each is in an event as it comes, and in one as it goes.
MAX_PUBLISHED = 16 * 1024

_KIND = "mercure"

Document = dict[str, Any]


def path_of(*parts: str) -> str:
    """The URL, and topic, of subscriptions: each part is encoded once, as a whole (RFC 6570)."""
    return "/".join((SUBSCRIPTIONS, *(quote(part, safe="") for part in parts)))


def check_published(matchers: Iterable[Matcher]) -> None:
    """Raises BadRequest for so many that a few subscribers would fill the journal."""
    size = sum(len(matcher.text.encode(errors="replace")) for matcher in matchers)
    if size > MAX_PUBLISHED:
        raise BadRequest(
            f"the topic matchers have {size} bytes: {MAX_PUBLISHED} are allowed where subscriptions"
            " are published (EVENTS_MERCURE_SUBSCRIPTIONS)"
        )


def document(matcher: Matcher, subscriber: str, payload: Any) -> Document:
    """The document of one subscription, in the terms of the revision that it was made by."""
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
        #: Announcements that are not written yet, by subscriber and whether it is there. A
        #: subscriber that comes and goes before the next write leaves none.
        self._changes = WriteBehind[tuple[str, bool], list[Document]](
            self._write, together=WRITTEN_TOGETHER, patience=PATIENCE
        )

    def announce(self, matchers: Iterable[Matcher], permissions: Permissions) -> "Announced":
        """The subscriptions of one connection. Its id is new: no client can choose or share it."""
        subscriber = new_id()
        documents = [document(m, subscriber, permissions.payload(m.text)) for m in matchers]
        return Announced(self, subscriber, documents)

    async def all(self, revision: Revision) -> list[Document]:
        """The subscriptions of one revision, in every process; raises Unavailable."""
        kind = "Subscription" if revision == "0.x" else "subscription"
        found = [orjson.loads(value) for value in (await self._state.all(_KIND)).values()]
        return sorted((d for d in found if d["type"] == kind), key=lambda d: str(d["id"]))

    def run(self) -> AbstractAsyncContextManager[None]:
        return self._changes.run()

    def change(self, subscriber: str, active: bool, documents: list[Document]) -> None:
        if active or not self._changes.drop((subscriber, True)):
            self._changes.put((subscriber, active), documents)

    async def _write(self, changes: dict[tuple[str, bool], list[Document]]) -> None:
        """The state comes first: a client that hears of a subscription and asks for it finds it."""
        each = [(found, active) for (_, active), all in changes.items() for found in all]
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
