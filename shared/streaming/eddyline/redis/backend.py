"""The backend of a hub in Redis: journal, state and signals over the same connections."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from eddyline.journal.base import Bounds
from eddyline.redis.journal import RedisJournal
from eddyline.redis.state import RedisState


class RedisBackend:
    """A hub of many processes, which outlives each of them."""

    def __init__(self, journal: RedisJournal) -> None:
        self.journal = journal
        self.state: Final = RedisState(journal.link, journal.keys)
        self.signals = journal

    @classmethod
    def from_url(cls, url: str, hub: str, bounds: Bounds, **options: Any) -> "RedisBackend":
        """`url` as in primary.py; `options` as those of `RedisJournal`."""
        return cls(
            RedisJournal(
                url,
                hub,
                max_entries=bounds.max_entries,
                max_bytes=bounds.max_bytes,
                max_age=bounds.max_age,
                key_age=bounds.key_age,
                of_topic=bounds.of_topic,
                **options,
            )
        )

    def fault(self) -> str | None:
        return self.journal.fault

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        async with self.journal, self.state.run():
            yield
