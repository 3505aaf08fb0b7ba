"""Which events a subscriber by the Mercure protocol gets."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from eddyline.journal.base import Entry
from eddyline_events.mercure.topics.matcher import Matcher, any_match


@dataclass(frozen=True, slots=True)
class MercureSelection:
    """The events of one subscriber: equal selections share an audience.

    `grants`: the matchers of private topics that it may read; public ones need none.
    """

    matchers: frozenset[Matcher]
    grants: frozenset[Matcher]
    topics: frozenset[str]
    prefixes: frozenset[str]

    @classmethod
    def from_matchers(cls, matchers: Iterable[Matcher], grants: Iterable[Matcher]) -> Self:
        asked = frozenset(matchers)
        topics = frozenset(matcher.text for matcher in asked if matcher.exact)
        prefixes = frozenset(matcher.prefix for matcher in asked if not matcher.exact)
        return cls(asked, frozenset(grants), topics, prefixes)

    def may_match(self, topic: str) -> bool:
        return any_match(self.matchers, [topic])

    def shown(self, entry: Entry) -> Entry:
        return entry  # the format of Mercure's streams has no topic

    def matches(self, entry: Entry) -> bool:
        """One topic must be asked for; of a private entry, one, maybe another, must be granted."""
        if self.topics.isdisjoint(entry.topics) and not (
            self.prefixes and any_match(self.matchers, entry.topics)
        ):
            return False
        return not entry.private or any_match(self.grants, entry.topics)
