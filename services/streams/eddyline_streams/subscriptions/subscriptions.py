"""Subscriptions: the streams with news for each, and the worker that has it (sections 6 and 7)."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import orjson

from eddyline.durable.offset import BEGINNING, from_cursor
from eddyline.errors import Gone, NotFound, StreamingError
from eddyline.journal.cursor import Cursor
from eddyline.store.base import Batch, StreamInfo, StreamStore
from eddyline.tasks import background
from eddyline_streams.subscriptions.errors import SubscriptionError
from eddyline_streams.subscriptions.glob import literal_prefix, matches
from eddyline_streams.subscriptions.ledger import Change, Ledger
from eddyline_streams.subscriptions.record import Link, Subscription
from eddyline_streams.subscriptions.signing import Keys
from eddyline_streams.subscriptions.webhook import Webhooks

#: Seconds between two looks at all subscriptions: for those that other processes have made, and
#: whose process died in the midst of a wake.
SWEEP = 10.0

#: Seconds until a webhook that failed is tried again: at first, and at most.
RETRY, LONGEST_RETRY = 1.0, 60.0

_log = logging.getLogger("eddyline.streams")


class Subscriptions:
    """The subscriptions of a store; use it within `run()`. Any process may do any of the work: each
    change is written only where nobody else was faster.
    """

    keys: Keys

    def __init__(self, store: StreamStore, webhooks: Webhooks) -> None:
        self._store = store
        self._webhooks = webhooks
        self.ledger = Ledger(store)
        #: The last known state of each.
        self._known: dict[str, Subscription] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        self.keys = await Keys.load(self._store)
        try:
            async with background(self._sweep()):
                yield
        finally:
            for timer in self._timers.values():
                timer.cancel()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._webhooks.close()

    # Asked by writers.

    async def wrote(self, key: str, info: StreamInfo, records: int) -> None:
        """Called after each write of a client: wakes the subscriptions of its stream."""
        if not records:
            return
        head = info.head
        before = from_cursor(Cursor(head.epoch, head.sequence - records))
        if head.sequence == records:
            before = BEGINNING
        for id, known in list(self._known.items()):
            if key in known.links or self._selects(known, key):
                self._spawn(self._look(id, {key: before}))

    # Asked by the API.

    async def create(self, new: Subscription) -> tuple[Subscription, bool]:
        """The subscription, and whether it is new; streams that are there are linked at their end.

        Raises SubscriptionError where there is another one with its id.
        """
        links = {path: Link(BEGINNING, explicit=True) for path in new.config.streams}
        for path in await self._matching(new):
            links[path] = Link(BEGINNING, path in links, glob=True)
        tails = await self._tails(links)
        links = {
            path: replace(link, acked=tails.get(path, BEGINNING)) for path, link in links.items()
        }
        new = replace(new, links=links)
        found = await self.ledger.create(new)
        self._note(found)
        if found.config != new.config:
            text = f"the subscription {new.id[:80]!r} exists, and is configured in another way"
            raise SubscriptionError(409, "SUBSCRIPTION_ALREADY_EXISTS", text)
        return found, found is new

    async def delete(self, id: str) -> None:
        await self.ledger.delete(id)
        self._forget(id)

    async def link(self, id: str, paths: Iterable[str]) -> None:
        """Links streams, at their end."""
        paths = list(paths)
        tails = await self._tails(paths)

        async def change(old: Subscription) -> Subscription | None:
            links = dict(old.links)
            for path in paths:
                link = links.get(path) or Link(tails.get(path, BEGINNING))
                links[path] = replace(link, explicit=True)
            return replace(old, links=links)

        self._note(await self.ledger.change(id, change))

    async def unlink(self, id: str, path: str) -> None:
        """Takes an explicit link back; one by the pattern stays."""

        async def change(old: Subscription) -> Subscription | None:
            link = old.links.get(path)
            if link is None or not link.explicit:
                return None
            links = {each: other for each, other in old.links.items() if each != path}
            if link.glob:
                links[path] = replace(link, explicit=False)
            return replace(old, links=links)

        self._note(await self.ledger.change(id, change))

    async def apply(self, id: str, change: Change) -> Subscription:
        """Makes a change, and then the changes that follow from it."""
        new = await self.ledger.change(id, change)
        self._note(new)
        if new.wake is None:
            self._spawn(self._look(id))
        return new

    async def tails(self, subscription: Subscription) -> dict[str, str]:
        """The ends of its streams; those that are gone have none."""
        return await self._tails(subscription.links)

    # Wakes.

    async def _look(self, id: str, written: dict[str, str] | None = None) -> None:
        """Links streams that are new, ends a lease that has passed, and wakes where there is work.

        `written`: for each stream, the offset before its new records.
        """
        made: list[Subscription] = []

        async def change(old: Subscription) -> Subscription | None:
            made.clear()
            now = time.time()
            new = self._linked(old, written or {})
            wake = new.wake
            if wake is not None and wake.until is not None and wake.until <= now:
                new = replace(new, wake=None)
            if new.wake is None and new.not_before <= now:
                tails = await self._tails(new.links)
                if new.pending(tails):
                    new = new.woken(tails)
                    made.append(new)
            return None if new is old else new

        try:
            self._note(await self.ledger.change(id, change))
        except SubscriptionError:
            self._forget(id)
            return
        for woken in made:
            await self._announce(woken)

    def _linked(self, old: Subscription, written: dict[str, str]) -> Subscription:
        new = {
            path: Link(before, glob=True)
            for path, before in written.items()
            if path not in old.links and self._selects(old, path)
        }
        return replace(old, links=old.links | new) if new else old

    async def _announce(self, woken: Subscription) -> None:
        assert woken.wake is not None
        if woken.config.type == "webhook":
            await self._deliver(woken)
            return
        event = {
            "type": "wake",
            "subscription_id": woken.id,
            "stream": woken.pending(woken.wake.tails)[0],
            "generation": woken.generation,
            "ts": round(time.time() * 1000),
        }
        assert woken.config.wake_stream is not None
        batch = Batch([orjson.dumps(event)], content_type="application/json")
        try:
            await self._store.append(woken.config.wake_stream, batch)
        except StreamingError as error:
            _log.warning("a wake could not be announced: %s", error.detail)

    async def _deliver(self, woken: Subscription) -> None:
        assert woken.config.webhook is not None
        body = orjson.dumps(self._notification(woken))
        try:
            answer = await self._webhooks.post(woken.config.webhook, body, self.keys.sign(body))
            done = bool(answer) and orjson.loads(answer).get("done") is True
        except asyncio.CancelledError:
            raise
        except Exception as error:
            # A receiver may fail in any way: it is tried again, later and later.
            _log.warning("a webhook failed: %r", error, extra={"subscription": woken.id})
            await self._settle(woken, failed=True)
        else:
            await self._settle(woken, done=done)

    def _notification(self, woken: Subscription) -> dict[str, object]:
        assert woken.wake is not None
        return {
            "subscription_id": woken.id,
            "wake_id": woken.wake.id,
            "generation": woken.generation,
            "streams": streams_of(woken, woken.wake.tails),
            "callback_url": f"{woken.base}__ds/subscriptions/{woken.id}/callback",
            "callback_token": self.keys.token(woken.id, woken.generation, woken.wake.id),
        }

    async def _settle(
        self, woken: Subscription, *, done: bool = False, failed: bool = False
    ) -> None:
        """The outcome of a delivery."""
        assert woken.wake is not None
        wake = woken.wake

        async def change(old: Subscription) -> Subscription | None:
            if old.wake is None or old.wake.id != wake.id:
                return None
            if failed:
                failures = old.failures + 1
                pause = min(RETRY * 2.0 ** min(old.failures, 10), LONGEST_RETRY)
                at = time.time() + pause * random.uniform(0.8, 1.2)
                return replace(old, wake=None, failures=failures, not_before=at)
            new = replace(old, failures=0, not_before=0.0)
            return replace(new.acked(wake.tails), wake=None) if done else new

        try:
            await self.apply(woken.id, change)
        except SubscriptionError:
            self._forget(woken.id)

    # Which streams, and when.

    @staticmethod
    def _selects(subscription: Subscription, path: str) -> bool:
        config = subscription.config
        # Else each wake would be news for the same subscription.
        if config.pattern is None or path == config.wake_stream:
            return False
        return not path.startswith("__ds/") and matches(config.pattern, path)

    async def _matching(self, subscription: Subscription) -> list[str]:
        """The streams that are there."""
        if subscription.config.pattern is None:
            return []
        found: list[str] = []
        prefix, after = literal_prefix(subscription.config.pattern), None
        while page := await self._store.list(prefix, after, 1000):
            found += (path for path in page if self._selects(subscription, path))
            after = page[-1]
        return found

    async def _tails(self, paths: Iterable[str]) -> dict[str, str]:
        tails = {}
        for path in paths:
            try:
                tails[path] = from_cursor((await self._store.read(path, None, 0)).info.head)
            except (NotFound, Gone):
                continue
        return tails

    async def _sweep(self) -> None:
        while True:
            try:
                await self._look_at_all()
            except StreamingError as error:
                _log.warning("subscriptions could not be looked at: %s", error.detail)
            await asyncio.sleep(SWEEP)  # sleep: the pace of looking

    async def _look_at_all(self) -> None:
        ids = await self.ledger.ids()
        for id in set(self._known) - set(ids):
            self._forget(id)
        for id in ids:
            subscription = await self.ledger.get(id)
            new = set(await self._matching(subscription)) - set(subscription.links)
            await self._look(id, dict.fromkeys(new, BEGINNING))

    def _note(self, state: Subscription) -> None:
        """Remembers a state, and looks again when its lease or its pause ends."""
        self._known[state.id] = state
        if (timer := self._timers.pop(state.id, None)) is not None:
            timer.cancel()
        at = state.not_before if state.wake is None else state.wake.until
        if at:
            loop, id = asyncio.get_running_loop(), state.id
            pause = max(0.0, at - time.time()) + 0.001
            self._timers[id] = loop.call_later(pause, lambda: self._spawn(self._look(id)))

    def _forget(self, id: str) -> None:
        self._known.pop(id, None)
        if (timer := self._timers.pop(id, None)) is not None:
            timer.cancel()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a subscription could not be looked at: %r", error, exc_info=error)


def streams_of(subscription: Subscription, tails: dict[str, str]) -> list[dict[str, object]]:
    """Its streams as wakes and claims name them; those that are gone are left out."""
    pending = set(subscription.pending(tails))
    return [
        {
            "path": path,
            "link_type": link.type,
            "acked_offset": link.acked,
            "tail_offset": tails[path],
            "has_pending": path in pending,
        }
        for path, link in subscription.links.items()
        if path in tails
    ]
