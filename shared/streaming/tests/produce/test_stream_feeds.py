"""The streams that a process follows: each once, and only while somebody holds it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from eddyline.errors import NotFound, Unavailable
from eddyline.policy import StreamPolicy
from eddyline.produce.stream_feeds import StreamFeeds
from eddyline.produce.yielded import entry
from eddyline.service.drain import Drain
from eddyline.store.base import StreamConfig, StreamFollower
from eddyline.store.memory import MemoryStore
from eddyline.telemetry.base import NoStreamMeter
from eddyline.testing import eventually


class Counted(MemoryStore):
    """Counts those that follow; `failure` ends them all."""

    def __init__(self) -> None:
        super().__init__()
        self.following = 0
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @asynccontextmanager
    async def follow(self, key: str, follower: StreamFollower) -> AsyncIterator[None]:
        async with super().follow(key, follower):
            self.following += 1
            task = asyncio.current_task()
            self.failure.add_done_callback(lambda _: task and task.cancel())
            try:
                yield
            except asyncio.CancelledError:
                if self.failure.done():
                    raise Unavailable("the store is away") from None
                raise
            finally:
                self.following -= 1


def feeds_of(store: MemoryStore) -> StreamFeeds:
    return StreamFeeds(store, entry, NoStreamMeter(), StreamPolicy(), Drain())


async def epoch_of(store: MemoryStore, key: str) -> str:
    return (await store.create(key, StreamConfig())).info.head.epoch


async def test_a_stream_is_followed_once_for_all_holders_and_until_the_last_releases_it():
    store = Counted()
    feeds, epoch = feeds_of(store), await epoch_of(store, "k")
    async with feeds.run():
        held = await asyncio.gather(*(feeds.hold("k", epoch) for _ in range(5)))
        assert len(set(map(id, held))) == 1
        assert store.following == 1
        for feed in held[1:]:
            feed.release()
        await asyncio.sleep(0)
        assert (store.following, len(feeds)) == (1, 1)
        held[0].release()
        await eventually(lambda: store.following == 0)
        assert len(feeds) == 0


async def test_a_stream_that_is_not_there_is_not_found_and_not_held():
    store = Counted()
    feeds = feeds_of(store)
    async with feeds.run():
        with pytest.raises(NotFound):
            await feeds.hold("k", "epoch")
        assert len(feeds) == 0
        epoch = await epoch_of(store, "k")
        (await feeds.hold("k", epoch)).release()


async def test_two_lives_of_a_key_are_two_streams():
    store = Counted()
    feeds = feeds_of(store)
    async with feeds.run():
        first = await feeds.hold("k", await epoch_of(store, "k"))
        await store.delete("k")
        second = await feeds.hold("k", await epoch_of(store, "k"))
        assert first.finished
        assert not second.finished
        first.release()
        second.release()
        assert len(feeds) == 0


async def test_a_store_that_fails_is_followed_anew_by_the_next_holder():
    store = Counted()
    feeds, epoch = feeds_of(store), await epoch_of(store, "k")
    async with feeds.run():
        lost = await feeds.hold("k", epoch)
        store.failure.set_result(None)
        await eventually(lambda: len(feeds) == 0)
        store.failure = asyncio.get_running_loop().create_future()
        anew = await feeds.hold("k", epoch)
        assert anew is not lost
        assert store.following == 1
        lost.release()
        assert len(feeds) == 1
        anew.release()


async def test_all_that_is_held_is_let_go_at_the_end():
    store = Counted()
    feeds, epoch = feeds_of(store), await epoch_of(store, "k")
    async with feeds.run():
        await feeds.hold("k", epoch)
    assert store.following == 0
