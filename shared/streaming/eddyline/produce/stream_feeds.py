"""The streams of a store that this process follows, each of them once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from eddyline.broadcast.coalescing import FlushGovernor
from eddyline.broadcast.timer_wheel import TimerWheel
from eddyline.errors import Unavailable
from eddyline.journal.base import Entry
from eddyline.policy import StreamPolicy
from eddyline.produce.stream_feed import FeedContext, StreamFeed
from eddyline.service.drain import Drain
from eddyline.store.base import Record, StreamStore
from eddyline.telemetry.base import StreamMeter


class StreamFeeds:
    """The streams of one store that this process follows; use it within `run()`.

    `render` makes the entry for subscribers of a record.
    """

    def __init__(
        self,
        store: StreamStore,
        render: Callable[[Record], Entry],
        meter: StreamMeter,
        policy: StreamPolicy,
        drain: Drain,
    ) -> None:
        timer_wheel, governor = TimerWheel(), FlushGovernor(policy.flush_interval)
        self._context = FeedContext(store, render, meter, policy, drain, timer_wheel, governor)
        # By key and epoch: a key that was created again is another stream.
        self._feeds: dict[tuple[str, str], StreamFeed] = {}
        self._following: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """Streams that are followed."""
        return len(self._feeds)

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Connections that are still open at the end are ended."""
        self._context.drain.on_begin(self, self._end_within)
        try:
            yield
        finally:
            self._context.drain.forget(self)
            for feed in list(self._feeds.values()):
                feed.end_all("closed")
                feed.polls.answer()
            self._context.timer_wheel.close()
            following = list(self._following)
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)

    async def hold(self, key: str, epoch: str) -> StreamFeed:
        """The feed of a stream. The stream is followed until each holder has called `release`.

        Raises NotFound.
        """
        feed = self._feeds.get((key, epoch))
        if feed is None:
            feed = self._feeds[key, epoch] = StreamFeed(self._context, key, epoch, self._forget)
            task = asyncio.create_task(self._follow(feed))
            self._following.add(task)
            task.add_done_callback(self._following.discard)
        feed.holders += 1
        try:
            await asyncio.shield(feed.following)
        except BaseException:
            feed.release()
            raise
        return feed

    def _forget(self, feed: StreamFeed) -> None:
        if self._feeds.get((feed.key, feed.epoch)) is feed:
            del self._feeds[feed.key, feed.epoch]

    async def _follow(self, feed: StreamFeed) -> None:
        try:
            async with self._context.store.follow(feed.key, feed):
                feed.following.set_result(None)
                await feed.unused.wait()
        except Exception as error:
            self._forget(feed)  # the next holder gets a feed that follows
            feed.failed(error)
        except asyncio.CancelledError:
            feed.failed(Unavailable("this process is stopping: connect again to reach another"))
            raise

    def _end_within(self, window: float) -> None:
        for feed in list(self._feeds.values()):
            feed.end_within(window, feed.subscribers)
            feed.polls.answer(window)
