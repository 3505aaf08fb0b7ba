"""Which events a subscriber gets: the topics it asked for, as far as it is granted them."""

from dataclasses import dataclass

from streaming.auth import Principal, Scope
from streaming.journal import Entry


@dataclass(frozen=True, slots=True)
class Selection:
    """Subscribers with equal selections share an audience. `topics` None: all public topics."""

    topics: frozenset[str] | None
    grants: tuple[Scope, ...]

    @classmethod
    def of(cls, principal: Principal, topics: list[str] | None) -> "Selection":
        """Raises Forbidden where a topic is not granted."""
        for topic in topics or ():
            principal.require("events", "subscribe", topic)
        # Only what bears on subscribing: two users with other rights elsewhere still share an
        # audience.
        grants = tuple(s for s in principal.scopes if s.service in ("events", "*"))
        return cls(frozenset(topics) if topics else None, grants)

    def matches(self, entry: Entry) -> bool:
        if self.topics is not None:
            return not self.topics.isdisjoint(entry.topics)  # each was checked against the grants
        return not entry.private and any(
            scope.covers("events", "subscribe", topic)
            for scope in self.grants
            for topic in entry.topics
        )
