"""Measures many exact topics on one process: the cost of each, and whether an event's grows."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlencode

from bench.deliveries import Delivery, Plan, deliver
from bench.rivals import JSON, OURS, OURS_ON_REDIS, SSE
from bench.servers import EventServer
from bench.tools import request

OWN = 50  # topics of each connection
PLACE = "@@@@@@"  # load.c writes a topic's number here


@dataclass(frozen=True)
class Kind:
    """The topics of the connections, and those of the events."""

    what: str
    own: int  # topics that each connection has to itself
    shared: bool  # all have one topic in common, and events are for that one
    rate: float  # events a second
    connections: int | None = None  # the scale's


# The first is to the second, and the third to the fourth, as few topics to many: the same events,
# and the same deliveries.
KINDS: Sequence[Kind] = (
    Kind("one topic, an event for one subscriber", 1, False, 1000, 1),
    Kind("many topics, each event for one subscriber", OWN, False, 1000),
    Kind("one topic, each event for all", 0, True, 25),
    Kind("many topics, each event for all by the one that they share", OWN - 1, True, 25),
)


@dataclass(frozen=True)
class TopicRun:
    """One kind of it."""

    server: str
    what: str
    topics: int
    run: Delivery


def many_topics() -> Sequence[EventServer]:
    return (OURS, OURS_ON_REDIS)


def topic_run(program: Path, server: EventServer, kind: Kind, connections: int) -> TopicRun:
    connections = kind.connections or connections
    topics = [("topic", f"t/{PLACE}")] * kind.own + [("topic", "bench")] * kind.shared

    def event(data: str) -> str:
        topic = "bench" if kind.shared else f"t/{PLACE}"
        return request("POST /events", JSON, json.dumps({"topic": topic, "data": data}))

    asked = urlencode(topics, safe="@/")
    subject = replace(server, subscribe=request(f"GET /events?{asked}", SSE), publish=event)
    run = deliver(program, subject, Plan(connections, kind.rate, 3, settle=1, topics=kind.own))
    return TopicRun(server.name, kind.what, kind.own * connections + kind.shared, run)


def memory_each(rows: Sequence[TopicRun], server: str) -> float | None:
    """Bytes for each topic: connections with many topics, less those with one."""
    few, many = (
        next((r for r in rows if (r.server, r.what) == (server, kind.what)), None)
        for kind in (KINDS[2], KINDS[1])
    )
    if few is None or many is None:
        return None
    more = (many.run.connection_bytes - few.run.connection_bytes) * many.run.connections
    return more / (many.topics - few.topics)


def cost_ratio(rows: Sequence[TopicRun], server: str, shared: bool) -> float | None:
    """CPU of a delivery with many topics to that with one."""
    one, many = (
        next((r for r in rows if (r.server, r.what) == (server, kind.what)), None)
        for kind in (KINDS[2:4] if shared else KINDS[0:2])
    )
    return None if one is None or many is None else many.run.cpu_us / one.run.cpu_us
