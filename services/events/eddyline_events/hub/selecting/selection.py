"""Which events a subscriber gets: those that it asked for, as far as they are granted to it."""

from collections.abc import Sequence
from dataclasses import dataclass

from eddyline.auth.authenticator import Principal, Scope
from eddyline.errors import BadRequest, Forbidden
from eddyline.journal.base import Entry
from eddyline_events.hub.publishing.publication import check_topic
from eddyline_events.hub.selecting.templates import Template

MAX_TOPICS = 256

#: In place of a topic: every public one. The same as none at all.
EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class Selection:
    """Subscribers with equal selections share an audience.

    `exact` topics are granted: each was checked. The topics that `templates` and `everything`
    select are checked entry by entry. A private entry is only for subscribers that named its topic,
    by a template at the least.
    """

    exact: frozenset[str]
    templates: frozenset[Template]
    everything: bool
    grants: tuple[Scope, ...]

    @classmethod
    def from_texts(cls, principal: Principal, texts: Sequence[str]) -> "Selection":
        """Topics, templates (RFC 6570) and `*`, or nothing for all public topics.

        Raises BadRequest, which names a text that is none of these, and Forbidden where a topic is
        not granted.
        """
        if len(texts) > MAX_TOPICS:
            raise BadRequest(
                f"{len(texts)} topics were asked for: at most {MAX_TOPICS} are allowed"
            )
        everything = not texts or EVERYTHING in texts
        selectors = [Template.parse(check_topic(text)) for text in texts if text != EVERYTHING]
        exact = frozenset(selector.text for selector in selectors if selector.exact)
        templates = frozenset(selector for selector in selectors if not selector.exact)
        # Scopes of other services are left out: users that differ in those share an audience.
        grants = tuple(s for s in principal.scopes if s.service in ("events", "*"))
        for topic in exact:
            principal.require("events", "subscribe", topic)
        if not any(scope.action in ("subscribe", "*") for scope in grants):
            raise Forbidden("the token grants no topic: it needs the scope events:subscribe")
        return cls(exact, templates, everything, grants)

    @property
    def topics(self) -> frozenset[str] | None:
        return None if self.templates or self.everything else self.exact

    def matches(self, entry: Entry) -> bool:
        return any(self._matches(topic, entry.private) for topic in entry.topics)

    def may_match(self, topic: str) -> bool:
        return self._matches(topic, False)

    def texts(self) -> list[str]:
        """The topics and templates that were asked for, in a fixed order."""
        named = sorted([*self.exact, *(template.text for template in self.templates)])
        return [EVERYTHING, *named] if self.everything else named

    def _matches(self, topic: str, private: bool) -> bool:
        if topic in self.exact:
            return True
        named = any(template.matches(topic) for template in self.templates)
        if not named and (private or not self.everything):
            return False
        return any(scope.covers("events", "subscribe", topic) for scope in self.grants)
