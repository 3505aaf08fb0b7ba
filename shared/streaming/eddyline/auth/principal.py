"""The client behind a request, and its grants: scopes `<service>:<action>[:<pattern>]`."""

import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Self

from eddyline.errors import Forbidden

_SCOPE = re.compile(r"([a-z0-9_-]+|\*):([a-z0-9_-]+|\*)(?::(\S+))?\Z")


@dataclass(frozen=True, slots=True)
class Scope:
    """One grant; in `pattern` `*` is any run of characters, and None means every topic or path."""

    service: str
    action: str
    pattern: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of `str`; raises ValueError."""
        match = _SCOPE.match(text)
        if match is None:
            raise ValueError(
                f"{text[:80]!r} is not a scope: expected <service>:<action>[:<pattern>]"
            )
        return cls(match[1], match[2], match[3])

    def __str__(self) -> str:
        base = f"{self.service}:{self.action}"
        return base if self.pattern is None else f"{base}:{self.pattern}"

    def covers(self, service: str, action: str, resource: str | None) -> bool:
        """Without a `resource` the question is about all: only a scope without bounds says yes."""
        if self.service not in (service, "*") or self.action not in (action, "*"):
            return False
        if self.pattern is None or self.pattern == "*":
            return True
        return resource is not None and matches(self.pattern, resource)


def matches(pattern: str, text: str) -> bool:
    """Whether `text` is `pattern`, where `*` stands for any run of characters, slashes included.

    Each piece is looked for once, after the one before it. A regular expression would try every
    split of the text, and a pattern of many `*` would stop the event loop.
    """
    first, *pieces = pattern.split("*")
    if not pieces:
        return text == first
    *middle, last = pieces
    if len(text) < len(first) + len(last) or not text.startswith(first):
        return False
    end = len(text) - len(last)
    position = len(first)
    for piece in middle:
        found = text.find(piece, position, end)
        if found < 0:
            return False
        position = found + len(piece)
    return text.endswith(last)


@lru_cache(maxsize=1024)
def parse_scopes(claim: str) -> tuple[Scope, ...]:
    """The scopes of a claim (RFC 8693 section 4.2), sorted: equal grants are equal keys.

    Words of another grammar (`openid`, a URL) are for other servers that take the same token.
    """
    words = (word for word in set(claim.split()) if _SCOPE.match(word))
    return tuple(Scope.parse(word) for word in sorted(words))


@dataclass(frozen=True, slots=True)
class Principal:
    """The client, the end of its token (`expires`, in Unix seconds), and its grants; hashable.

    `token_id` names the token itself (`jti`, RFC 7519 section 4.1.7). `fingerprint` is the
    digest of a token without a subject.
    """

    subject: str | None
    expires: float | None
    scopes: tuple[Scope, ...]
    token_id: str | None = None
    fingerprint: str | None = None

    @property
    def identity(self) -> str | None:
        """The name under which limits count it, and idempotency keys are its own: its subject, or
        its token where that has none. None where no token is asked for.
        """
        if self.subject is not None:
            return f"subject:{self.subject}"
        return None if self.fingerprint is None else f"token:{self.fingerprint}"

    def allows(self, service: str, action: str, resource: str | None = None) -> bool:
        """Whether a scope covers `action` on `resource`, a topic or a path; None asks for all."""
        return any(scope.covers(service, action, resource) for scope in self.scopes)

    def require(self, service: str, action: str, resource: str | None = None) -> None:
        """Raises Forbidden, which names the scope that is missing."""
        if not self.allows(service, action, resource):
            base = f"{service}:{action}"
            what = base if resource is None else f"{base} for {resource[:200]!r}"
            which = base if resource is None else f"{base} or {base}:<a pattern that matches>"
            raise Forbidden(f"the token does not grant {what}: it needs the scope {which}")


def fingerprint(token: str) -> str:
    """A digest that tells tokens apart, and from which none can be made."""
    return blake2b(token.encode(), digest_size=16).hexdigest()


#: A client without a token, to which nothing is granted.
ANONYMOUS = Principal(None, None, ())

#: Everyone, where authentication is off.
UNRESTRICTED = Principal(None, None, (Scope("*", "*"),))
