"""Topic matchers of the Mercure protocol: which topics a subscriber asks for, or a token grants.

Revision 0.x has one kind, the topic selector (`*`, a URI template or a text); revision 1.0 has
`exact` and `urlpattern`. https://mercure.rocks/spec
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, Protocol, Self

from eddyline.errors import BadRequest
from eddyline_events.hub.selecting.templates import Template
from eddyline_events.mercure.topics.pattern import pattern

#: `selector` is that of revision 0.x; its name is never on the wire.
Kind = Literal["selector", "exact", "urlpattern"]

WILDCARD = "*"

#: Bytes of a topic, or of a matcher that is compared or is a URI template.
MAX_TOPIC_BYTES = 4096


class _Topics(Protocol):
    def matches(self, topic: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Matcher:
    """One matcher; equal ones are equal keys. Relative URLs are resolved against `base`."""

    kind: Kind
    text: str
    _topics: _Topics = field(compare=False, repr=False)

    @classmethod
    def parse(cls, kind: Kind, text: str, base: str) -> Self:
        """Raises BadRequest, which names the matcher and its fault."""
        check_text(text, "matcher")
        size = len(text.encode(errors="replace"))
        if size > MAX_TOPIC_BYTES:
            raise BadRequest(
                f"matcher {text[:80]!r} has {size} bytes: {MAX_TOPIC_BYTES} are allowed"
            )
        if kind == "urlpattern" and text != WILDCARD:
            return cls(kind, text, pattern(text, base))
        return cls(kind, text, _selector(text) if kind == "selector" else _Exact(text))

    @property
    def wildcard(self) -> bool:
        return self.text == WILDCARD

    @property
    def exact(self) -> bool:
        """Whether it is one topic, for a look-up in place of a match."""
        return isinstance(self._topics, _Exact) and not self.wildcard

    @property
    def prefix(self) -> str:
        """A text with which each of its topics begins. Those of URL patterns are compared as URLs,
        which may be written in many ways.
        """
        return self._topics.prefix if isinstance(self._topics, Template) else ""

    def matches(self, topic: str) -> bool:
        return self.wildcard or self._topics.matches(topic)


@dataclass(frozen=True, slots=True)
class _Exact:
    text: str

    def matches(self, topic: str) -> bool:
        return topic == self.text


def _selector(text: str) -> _Topics:
    try:
        template = Template.parse(text)
    except BadRequest:
        # Any text may be a selector: one that is no template is a topic.
        return _Exact(text)
    return _Exact(text) if template.exact else template


def has_invisible(text: str) -> bool:
    """Controls and format characters (bidirectional, zero width): no identifier may hold one."""
    return not text.isprintable() and any(unicodedata.category(c) in ("Cc", "Cf") for c in text)


def check_text(text: str, what: str) -> None:
    """Raises BadRequest for a topic or matcher with a character that is invisible."""
    if has_invisible(text):
        raise BadRequest(f"{what} {text[:80]!r} holds a control or format character")


def any_match(matchers: Iterable[Matcher], topics: Iterable[str]) -> bool:
    return any(matcher.matches(topic) for matcher in matchers for topic in topics)
