"""The grants of a token of the Mercure protocol, from its claims, in both revisions."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from eddyline.auth.authenticator import Principal
from eddyline.errors import BadRequest, Forbidden, Unauthorized
from eddyline_events.hub.options import OpenTopics
from eddyline_events.mercure.topics.matcher import WILDCARD, Kind, Matcher, any_match

Revision = Literal["0.x", "1.0"]
Matchers = tuple[Matcher, ...]

CLAIMS_0X = ("mercure", "https://mercure.rocks/")
DETAIL_TYPE = "https://mercure.rocks/authorization-detail"
KINDS: tuple[Kind, ...] = ("exact", "urlpattern")

#: Details of one token, and matchers of each list.
MAX_DETAILS = 100
MAX_MATCHERS = 1000


@dataclass(frozen=True, slots=True)
class Permissions:
    """The rights of one request. `revision` is None where no token was needed, or none came.

    `expires` is in unix seconds, `token` is the `jti`, `fingerprint` that of a token without a
    subject. `payloads` are attached to subscriptions:
    each to those that its matchers cover.
    """

    revision: Revision | None = None
    subject: str | None = None
    token: str | None = None
    fingerprint: str | None = None
    expires: float | None = None
    publish: Matchers = ()
    subscribe: Matchers = ()
    payloads: tuple[tuple[Matchers, Any], ...] = ()
    #: The topics whose public updates it may read; None: all.
    open: OpenTopics | None = None

    @property
    def principal(self) -> Principal:
        return Principal(self.subject, self.expires, (), self.token, self.fingerprint)

    def require_publish(self, topics: Iterable[str]) -> None:
        """Raises Forbidden, which names the topic: every one must be granted."""
        for topic in topics:
            if not any_match(self.publish, [topic]):
                raise Forbidden(f"the token does not grant to publish to {topic[:200]!r}")

    def require_subscribe(self, topic: str) -> None:
        """Raises Forbidden, which names the topic."""
        if not any_match(self.subscribe, [topic]):
            raise Forbidden(f"the token does not grant to subscribe to {topic[:200]!r}")

    def payload(self, matcher: str) -> Any:
        """The payload of the first grant that covers a subscription, whose matcher is its topic."""
        return next((p for grants, p in self.payloads if any_match(grants, [matcher])), None)

    @classmethod
    def everything(cls) -> "Permissions":
        every = (Matcher.parse("selector", WILDCARD, ""),)
        return cls(publish=every, subscribe=every)

    @classmethod
    def from_claim(cls, claims: dict[str, Any], base: str) -> "Permissions":
        """Revision 0.x: the `mercure` claim; a token without one grants nothing.

        Raises Unauthorized for a claim of another shape.
        """
        claim: Any = next((claims[name] for name in CLAIMS_0X if name in claims), {})
        if not isinstance(claim, dict):
            raise Unauthorized("the token's mercure claim is not an object")
        every = (Matcher.parse("selector", WILDCARD, base),)
        return cls(
            "0.x",
            claims.get("sub"),
            claims.get("jti"),
            None,
            claims.get("exp"),
            _selectors(claim, "publish", base),
            _selectors(claim, "subscribe", base),
            ((every, claim["payload"]),) if "payload" in claim else (),
        )

    @classmethod
    def from_details(cls, claims: dict[str, Any], base: str) -> "Permissions":
        """Revision 1.0: `authorization_details` (RFC 9396); other types of them are passed over.

        Raises Unauthorized where any of Mercure's is malformed: half a token grants something else.
        """
        details = [
            _Detail.parse(item, base)
            for item in _list(claims.get("authorization_details", []), "authorization_details")
            if _dict(item, "authorization detail").get("type") == DETAIL_TYPE
        ]
        if len(details) > MAX_DETAILS:
            raise Unauthorized(f"the token has {len(details)} details: {MAX_DETAILS} are allowed")
        subscribe = [detail for detail in details if "subscribe" in detail.actions]
        return cls(
            "1.0",
            claims.get("sub"),
            claims.get("jti"),
            None,
            claims.get("exp"),
            tuple(m for detail in details if "publish" in detail.actions for m in detail.topics),
            tuple(m for detail in subscribe for m in detail.topics),
            tuple((detail.topics, detail.payload) for detail in subscribe),
        )


@dataclass(frozen=True, slots=True)
class _Detail:
    actions: tuple[str, ...]
    topics: Matchers
    payload: Any

    @classmethod
    def parse(cls, item: dict[str, Any], base: str) -> "_Detail":
        actions = _list(item.get("actions"), "actions")
        topics = _list(item.get("topics"), "topics")
        if not actions or not all(isinstance(action, str) for action in actions):
            raise Unauthorized("an authorization detail's actions are no texts, or none")
        if not 0 < len(topics) <= MAX_MATCHERS:
            raise Unauthorized(f"an authorization detail must have 1-{MAX_MATCHERS} topics")
        payload = item.get("payload")
        if "payload" in item:
            _dict(payload, "payload")
        return cls(tuple(actions), tuple(_matcher(topic, base) for topic in topics), payload)


def _matcher(item: Any, base: str) -> Matcher:
    kind, text = _dict(item, "topic matcher").get("match_type", "exact"), item.get("match")
    if kind not in KINDS or not isinstance(text, str):
        raise Unauthorized("a topic matcher needs a `match` text, and a `match_type` of this hub")
    return _parsed(kind, text, base)


def _selectors(claim: dict[str, Any], action: str, base: str) -> Matchers:
    texts = claim.get(action) or []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise Unauthorized(f"the token's mercure.{action} is not a list of texts")
    if len(texts) > MAX_MATCHERS:
        raise Unauthorized(f"the token's mercure.{action} has more than {MAX_MATCHERS} texts")
    return tuple(_parsed("selector", text, base) for text in texts)


def _parsed(kind: Kind, text: str, base: str) -> Matcher:
    try:
        return Matcher.parse(kind, text, base)
    except BadRequest as error:
        raise Unauthorized(f"in the token, {error.detail}") from None


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise Unauthorized(f"the token's {what} are not a list")
    return value


def _dict(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unauthorized(f"a {what} of the token is not an object")
    return value
