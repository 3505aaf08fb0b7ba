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
    topics: frozenset[str] | None

    @classmethod
    def from_matchers(cls, matchers: Iterable[Matcher], grants: Iterable[Matcher]) -> Self:
        asked = frozenset(matchers)
        exact = all(matcher.exact for matcher in asked)
        return cls(asked, frozenset(grants), frozenset(m.text for m in asked) if exact else None)

    def may_match(self, topic: str) -> bool:
        return any_match(self.matchers, [topic])

    def matches(self, entry: Entry) -> bool:
        """One topic must be asked for; of a private entry, one, maybe another, must be granted."""
        if self.topics is not None:
            if self.topics.isdisjoint(entry.topics):
                return False
        elif not any_match(self.matchers, entry.topics):
            return False
        return not entry.private or any_match(self.grants, entry.topics)
