"""Tickets for browsers, whose EventSource can set no header: for one of them, and its reconnects.

An EventSource connects again by its first URL, so a ticket is not spent by its first use. From then
on it is good together with a cookie that the first answer sets, which a reader of the URL lacks (a
log, a referrer, the history of the browser).
"""

import secrets
import time
from dataclasses import dataclass
from hashlib import sha256

import orjson
from fastapi import Request

from eddyline.auth.principal import Principal, Scope
from eddyline.errors import Unauthorized
from eddyline.journal.state import State

#: Seconds from asking for a ticket to using it.
LIFE = 30.0

#: Seconds for which a ticket is good that was issued without a token.
LONGEST = 86_400.0

#: The name of the cookie, before the digest of its principal.
COOKIE = "eddyline-ticket-"


@dataclass(frozen=True, slots=True)
class Redeemed:
    """The principal that a ticket stands for. `cookie` is the one that came with it, or None where
    this is its first use.
    """

    ticket: str
    principal: Principal
    cookie: str | None


class Tickets:
    """A ticket stands for the principal that asked for it, with the same rights and end.

    The state has digests only: a reader of it can use no ticket.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    async def issue(self, principal: Principal) -> str:
        """Raises Unavailable."""
        ticket = secrets.token_urlsafe(32)
        await self._state.put_once(_key("ticket", ticket), _dump(principal), LIFE)
        return ticket

    async def redeem(self, ticket: str, request: Request) -> Redeemed:
        """Spends nothing yet; raises Unauthorized, or Unavailable."""
        new = await self._state.pop(_key("ticket", ticket), leave=True)
        value = new or await self._state.pop(_key("used", ticket), leave=True)
        principal = None if value is None else _load(value)
        cookie = None
        if principal is not None and new is None:
            cookie = request.cookies.get(_name(principal))
            good = cookie and await self._state.pop(_key("browser", cookie), leave=True)
            principal = principal if good == _name(principal).encode() else None
        if principal is None or (principal.expires or time.time() + 1) <= time.time():
            raise Unauthorized(
                f"the ticket is older than {LIFE:g} seconds, was used without the cookie that its"
                " first answer sets, has ended, or never was one: ask for another with POST"
                " /events/tickets"
            )
        return Redeemed(ticket, principal, cookie)

    async def spend(self, redeemed: Redeemed, request: Request) -> str | None:
        """The value of `Set-Cookie` for a ticket's first use; None for later ones.

        Called once nothing else can refuse the request. Raises Unauthorized where another request
        was faster, or Unavailable.
        """
        if redeemed.cookie is not None:
            return None
        ticket, principal = redeemed.ticket, redeemed.principal
        if await self._state.pop(_key("ticket", ticket)) is None:
            raise Unauthorized("the ticket was used a moment ago")
        name, seconds = _name(principal), _left(principal)
        # A browser has one cookie for each principal, and two tickets may be used at once: either
        # value is good for both.
        secret = secrets.token_urlsafe(32)
        await self._state.put_once(_key("browser", secret), name.encode(), seconds)
        await self._state.put_once(_key("used", ticket), _dump(principal), seconds)
        secure = "; Secure" if request.scope["scheme"] == "https" else ""
        limits = f"Path=/events; Max-Age={int(seconds)}; HttpOnly; SameSite=Strict{secure}"
        return f"{name}={secret}; {limits}"


def _left(principal: Principal) -> float:
    ends = LONGEST if principal.expires is None else principal.expires - time.time()
    return max(1.0, min(ends, LONGEST))


def _name(principal: Principal) -> str:
    return COOKIE + sha256((principal.identity or "").encode()).hexdigest()[:12]


def _key(kind: str, secret: str) -> str:
    return f"{kind}:" + sha256(secret.encode(errors="replace")).hexdigest()


def _dump(principal: Principal) -> bytes:
    scopes = [(scope.service, scope.action, scope.pattern) for scope in principal.scopes]
    fields = (principal.subject, principal.expires, scopes, principal.token_id)
    return orjson.dumps((*fields, principal.fingerprint))


def _load(value: bytes) -> Principal:
    subject, expires, scopes, token_id, fingerprint = orjson.loads(value)
    grants = tuple(Scope(*scope) for scope in scopes)
    return Principal(subject, expires, grants, token_id, fingerprint)
