"""A hub: one journal, its broadcast, and what its processes know together."""

from dataclasses import dataclass

from eddyline.broadcast.broadcast import Broadcast
from eddyline.journal.base import Journal, Signals
from eddyline.journal.state import State
from eddyline.service.app import Context
from eddyline_events.hub.kick import Kicks
from eddyline_events.hub.presence import Presence
from eddyline_events.settings import EventsSettings


@dataclass(frozen=True)
class Hub:
    """What every route of the events service works on."""

    context: Context
    settings: EventsSettings
    journal: Journal
    broadcast: Broadcast
    state: State
    signals: Signals
    presence: Presence
    kicks: Kicks
    #: Whether the journal outlives this process, and others read it.
    shared: bool = False
