"""Where subscriptions are kept: each in a stream of the store, whose newest record is its state.

Each change is written under the condition that nobody else has written meanwhile. So processes that
share a store share its subscriptions, with no more than the store's own promises.
"""

from collections.abc import Awaitable, Callable

from eddyline.errors import NotFound
from eddyline.journal.cursor import Cursor
from eddyline.store.base import Batch, StaleWriter, StreamConfig, StreamStore
from eddyline_streams.subscriptions.errors import not_found
from eddyline_streams.subscriptions.record import Subscription

#: Keys of the service's own: no path of a stream begins so.
PREFIX = "__ds/subscriptions/"

#: Bytes of one subscription, about: links to some ten thousand streams.
MOST_BYTES = 2 * 1024 * 1024

_KEPT = StreamConfig("application/json", max_bytes=2 * MOST_BYTES, trim=True)

#: A change of a subscription; None: there is nothing to change.
Change = Callable[[Subscription], Awaitable[Subscription | None]]


class Ledger:
    def __init__(self, store: StreamStore) -> None:
        self._store = store

    async def ids(self) -> list[str]:
        ids: list[str] = []
        after: str | None = None
        while page := await self._store.list(PREFIX, after, 1000):
            ids += (key.removeprefix(PREFIX) for key in page)
            after = page[-1]
        return ids

    async def create(self, new: Subscription) -> Subscription:
        """The new one, or that which has the id already."""
        first = Batch([new.encode()])
        written = await self._store.create(PREFIX + new.id, _KEPT, first)
        return new if written.new else (await self._load(new.id))[0]

    async def get(self, id: str) -> Subscription:
        """Raises SubscriptionError."""
        return (await self._load(id))[0]

    async def change(self, id: str, change: Change) -> Subscription:
        """The state after a change, which is made anew where another was faster. Raises
        SubscriptionError, and the errors of `change`.
        """
        while True:
            old, head = await self._load(id)
            new = await change(old)
            if new is None:
                return old
            try:
                await self._store.append(PREFIX + id, Batch([new.encode()], after=head))
            except StaleWriter:
                continue
            except NotFound:
                raise not_found(id) from None
            return new

    async def delete(self, id: str) -> None:
        try:
            await self._store.delete(PREFIX + id)
        except NotFound:
            raise not_found(id) from None

    async def _load(self, id: str) -> tuple[Subscription, Cursor]:
        key = PREFIX + id
        try:
            info = (await self._store.read(key, None, 0)).info
            before = Cursor(info.head.epoch, info.head.sequence - 1)
            chunk = await self._store.read(key, before, 1)
            if not chunk.records:  # the epoch began with it, or another was faster
                chunk = await self._store.read(key, None, 4 * MOST_BYTES)
        except NotFound:
            raise not_found(id) from None
        newest = chunk.records[-1]
        if newest.cursor != chunk.info.head:
            return await self._load(id)
        return Subscription.decode(newest.data), newest.cursor
