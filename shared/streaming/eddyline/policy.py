"""The limits of a stream's life. An app gives them: the library reads no settings."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StreamPolicy:
    """How long a stream lives, and how it treats a slow peer. All times are in seconds.

    `heartbeat`: silence after which a stream says that it is alive. `max_age`: a stream ends then,
    and its client comes back. `write_timeout`: a peer that takes no byte for so long is cut off.
    `flush_interval`: the shortest time between two writes to one audience (linger); 0 writes each
    event by itself.
    """

    heartbeat: float = 15.0
    max_age: float = 3600.0
    write_timeout: float = 60.0
    flush_interval: float = 0.005


@dataclass(frozen=True, slots=True)
class ProducePolicy:
    """How much of a generator is kept, and for how long. All times are in seconds.

    `max_bytes`: the most that the values of one generator may count for; one that yields more is
    ended with an error. `total_bytes`: the most that all streams in memory may count for; where it
    is reached, streams that have ended go before their time. `ttl`: a stream that has ended is kept
    for so long after its last use. `deadline`: the longest that a generator may run, whether a
    client listens or not.
    """

    max_bytes: int = 8 * 1024 * 1024
    total_bytes: int = 256 * 1024 * 1024
    ttl: float = 600.0
    deadline: float = 3600.0
