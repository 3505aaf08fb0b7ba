"""Access to the hub's own API: a bearer token or a ticket, of a principal that was not kicked."""

from fastapi import Request

from eddyline.auth.principal import Principal
from eddyline_events.hub.hub import Hub
from eddyline_events.hub.tickets import Tickets


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

    async def subscriber(self, request: Request) -> Principal:
        """The same for a route that takes a ticket in place of a token."""
        ticket = request.query_params.get("ticket")
        if ticket is None:
            return await self.principal(request)
        principal = await self._tickets.redeem(ticket)
        self._hub.kicks.require_not_kicked(principal)
        return principal

    async def ticket(self, request: Request) -> str:
        """A ticket for the principal of the request."""
        return await self._tickets.issue(await self.principal(request))
