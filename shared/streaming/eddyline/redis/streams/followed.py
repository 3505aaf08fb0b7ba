"""One stream that a process follows, as the messages on its channel tell of it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from eddyline.journal.cursor import Cursor
from eddyline.store.base import Record, StreamFollower, StreamInfo


class Followed:
    """A stream, its followers in this process, and how far these are."""

    def __init__(self, key: str, channel: bytes, info: StreamInfo) -> None:
        self.key: Final = key
        self.channel: Final = channel
        self.life: Final = info.life
        self.ttl: Final = info.config.ttl
        #: Those that follow it, or are about to.
        self.waiting: int = 0
        self.confirmed: Final = asyncio.Event()
        self.subscribing: asyncio.Future[None] | None = None
        self.begun: bool = False
        self._head = info.head
        self._end: str | None = None
        self._is_gone = False
        self._followers: tuple[StreamFollower, ...] = ()
        #: The head that the stream was seen at by the last look: messages on their way bring it.
        self._seen = info.head

    def begin(self, info: StreamInfo) -> None:
        """The state after the subscription is confirmed."""
        if not self.begun:
            self.begun = True
            if info.life != self.life:
                self.gone()
            elif info.head.sequence >= self._head.sequence:
                self._head, self._end = info.head, info.end

    @contextmanager
    def followed(self, follower: StreamFollower) -> Iterator[None]:
        follower.skip(self._head)
        if self._end is not None or self._is_gone:
            follower.ended(self._end)
        self._followers += (follower,)
        try:
            yield
        finally:
            self._followers = tuple(each for each in self._followers if each is not follower)

    def on_message(self, data: bytes) -> bool:
        """A message of `tell` in state.lua. True where the stream is gone."""
        line, _, bytes = data.partition(b"\n")
        word, life, *rest = line.decode(errors="surrogatepass").split(" ")
        if life != self.life or not self.begun:
            return False
        if word == "gone":
            return True
        head, first, count, end, *sizes = rest
        self._on_write(Cursor.parse(head), int(first), int(count), sizes, bytes)
        if end != "-":
            self._on_end(end[1:])
        return False

    def _on_write(
        self, head: Cursor, first: int, count: int, sizes: list[str], data: bytes
    ) -> None:
        if not count or head.sequence <= self._head.sequence:
            return
        lengths = [int(size) for size in sizes if size]
        if first != self._head.sequence + 1 or len(lengths) != count:
            self._skip(head)
            return
        records, at = [], 0
        for sequence, length in enumerate(lengths, first):
            records.append(Record(Cursor(head.epoch, sequence), data[at : at + length]))
            at += length
        self._head = head
        for follower in self._followers:
            follower.deliver(records)

    def is_behind(self, head: Cursor, end: str | None) -> bool:
        """A look saw the stream at `head`. Whether messages of before the last look are missing."""
        behind = self._head.sequence < self._seen.sequence
        self._seen = head
        if behind:
            self._skip(head)
        if end is not None and self._head.sequence >= head.sequence:
            self._on_end(end)
        return behind

    def _skip(self, head: Cursor) -> None:
        self._head = head
        for follower in self._followers:
            follower.skip(head)

    def _on_end(self, reason: str) -> None:
        if self._end is None:
            self._end = reason
            for follower in self._followers:
                follower.ended(reason)

    def gone(self) -> None:
        """The stream is not there any more."""
        if self._end is None and not self._is_gone:
            self._is_gone = True
            for follower in self._followers:
                follower.ended(None)
