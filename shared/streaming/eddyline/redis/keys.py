"""The names that a hub has in Redis."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HubKeys:
    """The channels of one hub, and its keys: all have one hash tag, and so one slot of a cluster.

    Channels carry the number of the database too: Redis's pub/sub knows no databases (redis.io,
    "Pub/Sub", section Database & Scoping), and two hubs would hear each other's events.

    `live`: a text that any client of Redis publishes to this prefix and a topic is delivered as an
    event without an id.
    """

    prefix: str
    bus: str
    live: str

    @classmethod
    def from_hub(cls, hub: str, database: int = 0) -> "HubKeys":
        prefix = f"eddyline:{{{hub}}}:"
        live = "eddyline:live" if hub == "events" else f"eddyline:{hub}:live"
        channel = f"{live}@{database}:" if database else f"{live}:"
        return cls(prefix, f"{prefix}bus@{database}", channel)

    def key(self, name: str) -> str:
        return self.prefix + name

    @property
    def journal(self) -> list[str]:
        """The keys of the journal itself, in the order of state.lua."""
        names = ["meta", "journal", "epochs", "ids", "topics", "lost"]
        names += ["bounded", "sizes", "expiring"]
        return [self.key(name) for name in names]
