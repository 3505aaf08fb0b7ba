"""Who asks: a bearer token or a ticket, of somebody who was not kicked."""

from fastapi import Request

from eddyline.auth.principal import Principal
from eddyline_events.hub.hub import Hub
from eddyline_events.hub.tickets import Tickets


class Gate:
    """What every route of the hub's own API asks first."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._tickets = Tickets(hub.state)

    async def principal(self, request: Request) -> Principal:
        """Raises Unauthorized, Forbidden, or Unavailable."""
        principal = await self._hub.context.authenticator.principal(request)
        self._hub.kicks.require_not_kicked(principal)
        return principal

    async def subscriber(self, request: Request) -> Principal:
        """The same; a ticket will do."""
        ticket = request.query_params.get("ticket")
        if ticket is None:
            return await self.principal(request)
        principal = await self._tickets.redeem(ticket)
        self._hub.kicks.require_not_kicked(principal)
        return principal

    async def ticket(self, request: Request) -> str:
        """A ticket for who asks."""
        return await self._tickets.issue(await self.principal(request))
