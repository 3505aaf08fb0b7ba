"""Which events a subscriber by the Mercure protocol gets."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from eddyline.journal.base import Entry
from eddyline_events.mercure.topics.matcher import Matcher, any_match


@dataclass(frozen=True, slots=True)
class MercureSelection:
    """What one subscriber gets: equal selections share an audience.

    `grants`: the matchers of private topics; what is public needs none.
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
        """Any topic of it is asked for; of a private one, any topic is granted (not the same)."""
        if self.topics is not None:
            if self.topics.isdisjoint(entry.topics):
                return False
        elif not any_match(self.matchers, entry.topics):
            return False
        return not entry.private or any_match(self.grants, entry.topics)
