"""Access to the hub's own API: a bearer token or a ticket, of a principal that was not kicked."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import Request

from eddyline.auth.bearer import bearer_token
from eddyline.auth.principal import ANONYMOUS, Principal
from eddyline.errors import Forbidden, Unauthorized
from eddyline_events.hub.hub import Hub
from eddyline_events.hub.selecting.selection import Selection
from eddyline_events.hub.tickets import Redeemed, Tickets


@dataclass(frozen=True, slots=True)
class Subscriber:
    """The client that asks for a stream, and the ticket that it came with."""

    principal: Principal
    redeemed: Redeemed | None


class Access:
    """Each route asks it first. One for each hub and process."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._tickets = Tickets(hub.state)

    async def principal(self, request: Request) -> Principal:
        """Raises Unauthorized, Forbidden, or Unavailable."""
        principal = await self._hub.context.authenticator.principal(request)
        self._hub.kicks.require_not_kicked(principal)
        return principal

    async def publisher(self, request: Request) -> Principal:
        """The same for a route that publishes: publishers may have a key of their own."""
        principal = await self._hub.publishers.principal(request)
        self._hub.kicks.require_not_kicked(principal)
        return principal

    async def subscriber(self, request: Request) -> "Subscriber":
        """The same for a route that takes a ticket in place of a token."""
        ticket = request.query_params.get("ticket")
        if ticket is None:
            if self._is_anonymous(request):
                return Subscriber(ANONYMOUS, None)
            return Subscriber(await self.principal(request), None)
        redeemed = await self._tickets.redeem(ticket, request)
        self._hub.kicks.require_not_kicked(redeemed.principal)
        return Subscriber(redeemed.principal, redeemed)

    def selection(self, principal: Principal, topics: Sequence[str]) -> Selection:
        """Raises BadRequest, Forbidden, and Unauthorized where a token might grant the topics."""
        try:
            return Selection.from_texts(principal, topics, self._hub.namespaces.open(False))
        except Forbidden as error:
            if principal is not ANONYMOUS:
                raise
            raise Unauthorized(f"without a bearer token: {error.detail}") from None

    def _is_anonymous(self, request: Request) -> bool:
        """Whether a client without a token is let in, to topics that are open to everyone."""
        hub = self._hub
        if not hub.context.authenticator.enabled or hub.namespaces.open(False) is None:
            return False
        return bearer_token(request) is None

    async def admitted(self, subscriber: "Subscriber", request: Request) -> dict[str, str]:
        """Headers of the answer to a subscriber that nothing can refuse any more.

        Raises Unauthorized where its ticket was used meanwhile, or Unavailable.
        """
        if subscriber.redeemed is None or request.method == "HEAD":
            return {}
        cookie = await self._tickets.spend(subscriber.redeemed, request)
        return {} if cookie is None else {"Set-Cookie": cookie}

    async def ticket(self, request: Request) -> str:
        """A ticket for the principal of the request."""
        return await self._tickets.issue(await self.principal(request))
