"""Which events a subscriber by the Mercure protocol gets."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from eddyline.journal.base import Entry
from eddyline_events.hub.options import OpenTopics
from eddyline_events.mercure.topics.matcher import Matcher, any_match


@dataclass(frozen=True, slots=True)
class MercureSelection:
    """The events of one subscriber: equal selections share an audience.

    `grants`: the matchers of private topics that it may read; public ones need none, and where
    `open` is given, it gets those that are open to everyone.
    """

    matchers: frozenset[Matcher]
    grants: frozenset[Matcher]
    topics: frozenset[str]
    prefixes: frozenset[str]
    open: OpenTopics | None = None

    @classmethod
    def from_matchers(
        cls,
        matchers: Iterable[Matcher],
        grants: Iterable[Matcher],
        open: OpenTopics | None = None,
    ) -> Self:
        asked = frozenset(matchers)
        topics = frozenset(matcher.text for matcher in asked if matcher.exact)
        prefixes = frozenset(matcher.prefix for matcher in asked if not matcher.exact)
        return cls(asked, frozenset(grants), topics, prefixes, open)

    def may_match(self, topic: str) -> bool:
        is_open = self.open is None or self.open.covers(topic)
        return is_open and any_match(self.matchers, [topic])

    def shown(self, entry: Entry) -> Entry:
        return entry  # the format of Mercure's streams has no topic

    def matches(self, entry: Entry) -> bool:
        """One topic must be asked for; of a private entry, one, maybe another, must be granted."""
        topics: Sequence[str] = entry.topics
        if self.open is not None:
            topics = [topic for topic in topics if self.open.covers(topic)]
        if self.topics.isdisjoint(topics) and not (
            self.prefixes and any_match(self.matchers, topics)
        ):
            return False
        return not entry.private or any_match(self.grants, entry.topics)
