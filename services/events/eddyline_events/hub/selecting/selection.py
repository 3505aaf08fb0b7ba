"""Which events a subscriber gets: those that it asked for, as far as they are granted to it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from eddyline.auth.authenticator import Principal, Scope
from eddyline.errors import BadRequest, Forbidden
from eddyline.journal.base import Entry
from eddyline_events.hub.namespace import PATH
from eddyline_events.hub.options import OpenTopics
from eddyline_events.hub.publishing.publication import check_topic
from eddyline_events.hub.selecting.templates import Template, require_affordable

MAX_TOPICS = 256

#: In place of a topic: every public one. The same as none at all.
EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class Selection:
    """Subscribers with equal selections share an audience.

    `exact` topics are granted: each was checked. The topics that `templates` and `everything`
    select are checked entry by entry. A private entry is only for subscribers that named its topic,
    by a template at the least. `open`: topics of which it may read the public entries as everyone
    may.
    """

    exact: frozenset[str]
    templates: frozenset[Template]
    everything: bool
    grants: tuple[Scope, ...]
    open: OpenTopics | None = None

    @classmethod
    def from_texts(
        cls, principal: Principal, texts: Sequence[str], open: OpenTopics | None = None
    ) -> "Selection":
        """Topics, templates (RFC 6570) and `*`, or nothing for all public topics.

        Raises BadRequest, which names a text that is none of these, and Forbidden where a topic is
        not granted.
        """
        if len(texts) > MAX_TOPICS:
            raise BadRequest(
                f"{len(texts)} topics were asked for: at most {MAX_TOPICS} are allowed"
            )
        require_affordable(texts)
        everything = not texts or EVERYTHING in texts
        selectors = [Template.parse(check_topic(text)) for text in texts if text != EVERYTHING]
        exact = frozenset(selector.text for selector in selectors if selector.exact)
        templates = frozenset(selector for selector in selectors if not selector.exact)
        # Scopes of other services are left out: users that differ in those share an audience.
        grants = tuple(s for s in principal.scopes if s.service in ("events", "*"))
        for topic in exact:
            if open is None or not open.covers(topic):
                principal.require("events", "subscribe", topic)
            if topic.startswith(PATH):
                principal.require("events", "presence", topic)
        if open is None and not any(scope.action in ("subscribe", "*") for scope in grants):
            raise Forbidden("the token grants no topic: it needs the scope events:subscribe")
        return cls(exact, templates, everything, grants, open)

    @property
    def topics(self) -> frozenset[str]:
        return self.exact

    @property
    def prefixes(self) -> frozenset[str]:
        if self.everything:
            return frozenset([""])
        return frozenset(template.prefix for template in self.templates)

    def matches(self, entry: Entry) -> bool:
        return any(self._matches(topic, entry.private) for topic in entry.topics)

    def may_match(self, topic: str) -> bool:
        return self._matches(topic, False)

    def shown(self, entry: Entry) -> Entry:
        topic = next(topic for topic in entry.topics if self._matches(topic, entry.private))
        return replace(entry, topic=topic, alternates=())

    def texts(self) -> list[str]:
        """The topics and templates that were asked for, in a fixed order."""
        named = sorted([*self.exact, *(template.text for template in self.templates)])
        return [EVERYTHING, *named] if self.everything else named

    def _matches(self, topic: str, private: bool) -> bool:
        if topic in self.exact:
            return not private or self.open is None or may_subscribe(self.grants, topic)
        named = any(template.matches(topic) for template in self.templates)
        if not named and (private or not self.everything):
            return False
        if self.open is not None and not private and self.open.covers(topic):
            return True
        return may_subscribe(self.grants, topic)


def may_subscribe(grants: Sequence[Scope], topic: str) -> bool:
    """Whether scopes grant to read a topic. The hub's own tell of subscribers, as presence does."""
    if not any(scope.covers("events", "subscribe", topic) for scope in grants):
        return False
    return not topic.startswith(PATH) or any(
        scope.covers("events", "presence", topic) for scope in grants
    )
