"""A hub: one journal, its broadcast, and what its processes know together."""

from dataclasses import dataclass

from events.kick import Kicks
from events.presence import Presence
from events.settings import EventsSettings
from events.state import State
from streaming.app import Context
from streaming.broadcast import Broadcast
from streaming.journal import Journal, Signals


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
