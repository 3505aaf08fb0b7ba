"""Subscribers by the Mercure protocol in presence, so that they are listed and can be kicked."""

from collections.abc import Sequence
from functools import lru_cache

from eddyline.auth.principal import Scope
from eddyline.broadcast.subscriber import Subscriber
from eddyline.errors import BadRequest
from eddyline_events.hub.hub import Hub
from eddyline_events.hub.publishing.publication import MAX_TOPIC, check_topic
from eddyline_events.hub.selecting.selection import EVERYTHING, Selection
from eddyline_events.hub.selecting.templates import Template
from eddyline_events.mercure.auth.permissions import Permissions
from eddyline_events.mercure.subscriptions.subscriptions import Announced, Subscriptions
from eddyline_events.mercure.topics.matcher import Matcher

#: Public events are for all.
_GRANTS = (Scope("events", "subscribe"),)


class MercureMember:
    """A `Member` of the broadcast; `id` is the subscriber's, as presence and kicks know it."""

    __slots__ = ("_announced", "_presence", "_present")

    def __init__(
        self,
        hub: Hub,
        subscriptions: Subscriptions | None,
        permissions: Permissions,
        matchers: Sequence[Matcher],
    ) -> None:
        self._presence = hub.presence
        self._present = hub.presence.member(permissions.principal, _shown(tuple(matchers)))
        self._announced: Announced | None = None
        if subscriptions is not None:
            self._announced = subscriptions.announce(matchers, permissions)

    @property
    def id(self) -> str:
        return self._present.id

    def joined(self, subscriber: Subscriber) -> None:
        # `Present.joined` would take the stream's selector for a selection of the hub's own API.
        self._present.subscriber = subscriber
        self._presence.joined(self._present)
        if self._announced is not None:
            self._announced.begin()

    def left(self) -> None:
        self._present.left()
        if self._announced is not None:
            self._announced.end()


@lru_cache(maxsize=1024)
def _shown(matchers: tuple[Matcher, ...]) -> Selection:
    """The matchers in the terms of the hub's own API, for presence: a URL pattern is one text."""
    selectors = [_native(matcher) for matcher in matchers if not matcher.wildcard]
    exact = frozenset(selector.text for selector in selectors if selector.exact)
    templates = frozenset(selector for selector in selectors if not selector.exact)
    return Selection(exact, templates, len(selectors) < len(matchers), _GRANTS)


def _native(matcher: Matcher) -> Template:
    try:
        if matcher.kind == "selector" or matcher.exact:
            template = Template.parse(check_topic(matcher.text))
            if template.exact == matcher.exact and template.text != EVERYTHING:
                return template
    except BadRequest:
        pass  # too long there, or no template
    shown = matcher.text.replace("{", "%7B").replace("}", "%7D")
    return Template.parse(shown[:MAX_TOPIC] or "/")
