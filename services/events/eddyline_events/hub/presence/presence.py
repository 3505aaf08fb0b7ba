"""Presence: the subscribers of a hub, over all its processes."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, cast

import orjson

from eddyline.auth.principal import Principal, Scope
from eddyline.broadcast.subscriber import Subscriber
from eddyline.journal.state import State
from eddyline.tasks import WriteBehind, background
from eddyline_events.hub.selecting.selection import Selection

KIND = "presence"

#: Seconds between two looks for subscribers whose grace is over, and for records to write.
TICK = 0.5

#: Records that are written at once: each is a task meanwhile.
WRITTEN_TOGETHER = 64


class Present:
    """One subscriber, as presence knows it: the `Member` of its stream."""

    __slots__ = (
        "_presence",
        "id",
        "left_at",
        "selection",
        "since",
        "subject",
        "subscriber",
        "token_id",
    )

    def __init__(self, presence: "Presence", principal: Principal, selection: Selection) -> None:
        self.id = secrets.token_hex(8)
        self.subject = principal.subject
        self.token_id = principal.token_id
        self.selection = selection
        self.since = time.time()
        self.left_at: float | None = None
        self.subscriber: Subscriber | None = None
        self._presence = presence

    def joined(self, subscriber: Subscriber) -> None:
        self.subscriber = subscriber
        # Equal to the one it has, and kept by its audience anyway.
        self.selection = cast(Selection, subscriber.selector)
        self._presence.joined(self)

    def left(self) -> None:
        self.subscriber = None
        self._presence.left(self)


class Presence:
    """The subscribers of this process, and those that the others wrote into the state.

    A subscriber that left stays for `grace` seconds, unless it is anonymous: if it comes back in
    that time, it was never away. Subscribers of a killed process stay until the state forgets them.
    """

    def __init__(self, state: State, grace: float) -> None:
        self.on_join: list[Callable[[Present], None]] = []
        self._state = state
        self._grace = grace
        self._here: dict[str, Present] = {}
        self._leaving: dict[str, Present] = {}
        #: Subscribers whose record the other processes cannot read yet as it is.
        self._changes = WriteBehind(self._write, together=WRITTEN_TOGETHER, linger=TICK)

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        # Clients of this process are on their way to another when it stops: their grace goes on
        # there, by the records that are written at the end.
        async with self._changes.run(), background(self._tick()):
            yield

    def here(self) -> list[Present]:
        """The subscribers of this process."""
        return list(self._here.values())

    def member(self, principal: Principal, selection: Selection) -> Present:
        """A member for `Broadcast.response`; its `id` is the subscriber's."""
        return Present(self, principal, selection)

    async def subscribers(self, topic: str | None) -> list[dict[str, Any]]:
        """Subscribers that get a topic's public events, or any; raises Unavailable.

        Each has an `id`, a `subject`, its `topics`, and `since` (unix seconds).
        """
        values = (await self._state.all(KIND)).values() if self._state.shared else self._own()
        records = [orjson.loads(value) for value in values]
        there = {(record[1], *record[2]) for record in records if record[5] is None}
        now = time.time()
        return [
            {"id": id, "subject": subject, "topics": topics, "since": since}
            for id, subject, topics, grants, since, left_at in sorted(records, key=_since)
            if left_at is None or (now - left_at <= self._grace and (subject, *topics) not in there)
            if topic is None or _selection(tuple(topics), grants).may_match(topic)
        ]

    def joined(self, present: Present) -> None:
        self._here[present.id] = present
        self._changed(present)
        for hook in self.on_join:
            hook(present)

    def left(self, present: Present) -> None:
        self._here.pop(present.id, None)
        if present.subject is not None and self._grace:
            present.left_at = time.time()
            self._leaving[present.id] = present
        self._changed(present)

    def _own(self) -> Iterator[bytes]:
        for present in (*self._here.values(), *self._leaving.values()):
            yield _record(present)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            self._forget(time.time())

    def _forget(self, now: float) -> None:
        gone = [p for p in self._leaving.values() if now - (p.left_at or 0) > self._grace]
        for present in gone:
            del self._leaving[present.id]
            self._changed(present)

    def _changed(self, present: Present) -> None:
        if self._state.shared:
            self._changes.put(present.id, present)

    async def _write(self, changed: dict[str, Present]) -> None:
        await asyncio.gather(*(self._write_one(present) for present in changed.values()))

    async def _write_one(self, present: Present) -> None:
        if present.id in self._here or present.id in self._leaving:
            await self._state.put(KIND, present.id, _record(present))
        else:
            await self._state.drop(KIND, present.id)


def _record(present: Present) -> bytes:
    grants = " ".join(str(scope) for scope in present.selection.grants)
    fields = (present.id, present.subject, present.selection.texts(), grants)
    return orjson.dumps((*fields, present.since, present.left_at))


def _since(record: list[Any]) -> tuple[float, str]:
    return record[4], record[0]


@lru_cache(maxsize=1024)
def _selection(texts: tuple[str, ...], grants: str) -> Selection:
    scopes = tuple(Scope.parse(word) for word in grants.split())
    return Selection.from_texts(Principal(None, None, scopes), texts)
