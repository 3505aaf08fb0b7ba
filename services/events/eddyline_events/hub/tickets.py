"""Tickets: one use, 30 seconds, for browsers, whose EventSource can set no header."""

import secrets
import time
from hashlib import sha256

import orjson

from eddyline.auth.principal import Principal, Scope
from eddyline.errors import Unauthorized
from eddyline.journal.state import State

#: Seconds from asking for a ticket to using it.
LIFE = 30.0


class Tickets:
    """A ticket stands for the principal that asked for it, with the same rights and end.

    The state has digests only: a reader of it can use no ticket.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    async def issue(self, principal: Principal) -> str:
        """Raises Unavailable."""
        ticket = secrets.token_urlsafe(32)
        await self._state.put_once(_key(ticket), _dump(principal), LIFE)
        return ticket

    async def redeem(self, ticket: str) -> Principal:
        """The principal that it stands for, once; raises Unauthorized, or Unavailable."""
        value = await self._state.pop(_key(ticket))
        principal = None if value is None else _load(value)
        if principal is None or (principal.expires or time.time() + 1) <= time.time():
            raise Unauthorized(
                f"the ticket was used, is older than {LIFE:g} seconds, or never was one: ask for"
                " another with POST /events/tickets"
            )
        return principal


def _key(ticket: str) -> str:
    return "ticket:" + sha256(ticket.encode(errors="replace")).hexdigest()


def _dump(principal: Principal) -> bytes:
    scopes = [(scope.service, scope.action, scope.pattern) for scope in principal.scopes]
    return orjson.dumps((principal.subject, principal.expires, scopes, principal.token_id))


def _load(value: bytes) -> Principal:
    subject, expires, scopes, token_id = orjson.loads(value)
    return Principal(subject, expires, tuple(Scope(*scope) for scope in scopes), token_id)
