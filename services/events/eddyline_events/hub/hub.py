"""A hub of the events service: one backend, its broadcast, presence and kicks."""

from dataclasses import dataclass

from eddyline.auth.authenticator import Authenticator
from eddyline.broadcast.audience import Selector
from eddyline.broadcast.broadcast import Broadcast
from eddyline.broadcast.catch_up import Start
from eddyline.journal.base import Backend, Journal
from eddyline.journal.state import State
from eddyline.service.app import Context
from eddyline_events.hub.options import Namespaces
from eddyline_events.hub.presence.kick import Kicks
from eddyline_events.hub.presence.presence import Presence
from eddyline_events.settings import EventsSettings


@dataclass(frozen=True)
class Hub:
    """All that the routes of the events service work on. Apps of others have `eddyline.Hub`."""

    context: Context
    settings: EventsSettings
    backend: Backend
    broadcast: Broadcast
    presence: Presence
    kicks: Kicks
    #: Verifies the tokens of publishers.
    publishers: Authenticator
    namespaces: Namespaces

    @property
    def journal(self) -> Journal:
        return self.backend.journal

    @property
    def state(self) -> State:
        return self.backend.state

    @property
    def shared(self) -> bool:
        """Whether the journal outlives this process, and others read it."""
        return self.backend.state.shared

    async def start(self, id: str | None, selector: Selector) -> Start:
        """Where a client starts that gives an id, or none: then with the last events of its topics,
        where their namespaces say so. Raises Unavailable.
        """
        start = await self.broadcast.locate(id, selector)
        return self.namespaces.last(selector.topics) if start is None else start

    def admit_publisher(self) -> None:
        """Raises Unavailable while the process stops, and its journal ends with it.

        Subscribers that have left already would not get an event that is accepted now. The
        publisher can send it to another process.
        """
        if not self.shared:
            self.context.drain.admit()
