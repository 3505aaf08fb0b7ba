"""Every Prometheus metric of the suite, defined once.

Under several gunicorn workers `PROMETHEUS_MULTIPROC_DIR` is set before Python starts: every gauge
therefore names the mode by which the workers' values are put together. Only live modes and
`mostrecent` may be named: values of the others would outlive their worker. Hot paths don't come
here: one call per flush or chunk.
"""

import os
from functools import cache, cached_property
from typing import Final, Literal, get_args

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from eddyline.journal.base import Gap
from eddyline.telemetry.base import Kind, Reason
from eddyline.telemetry.workers import WorkersCollector, multiprocess

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_STREAM = ("service", "kind")
_SECONDS = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0)
_LIFETIMES = (0.1, 1, 10, 60, 300, 1800, 3600, 14400)

streams_open: Final = Gauge(
    "eddyline_streams_open", "Streams open now", _STREAM, multiprocess_mode="livesum"
)
streams_started: Final = Counter("eddyline_streams_started", "Streams begun", _STREAM)
streams_ended: Final = Counter(
    "eddyline_streams_ended", f"Streams ended: {', '.join(get_args(Reason))}", (*_STREAM, "reason")
)
first_byte_seconds: Final = Histogram(
    "eddyline_first_byte_seconds", "Request to first byte of the body", _STREAM, buckets=_SECONDS
)
stream_seconds: Final = Histogram(
    "eddyline_stream_seconds", "Life of a stream", _STREAM, buckets=_LIFETIMES
)
bytes_sent: Final = Counter("eddyline_sent_bytes", "Bytes of bodies handed to connections", _STREAM)
events_sent: Final = Counter("eddyline_sent_events", "Events handed to connections", _STREAM)
slow_consumers: Final = Counter(
    "eddyline_slow_consumers", "Times that a subscriber fell behind", _STREAM
)
catch_up_reads: Final = Counter(
    "eddyline_catch_up_reads", "Pages read for subscribers behind the head", _STREAM
)
resets: Final = Counter(
    "eddyline_resets", "Subscribers told that a gap cannot be filled", (*_STREAM, "reason")
)
resumes: Final = Counter(
    "eddyline_resumes",
    "Subscribers that came back with an id: `complete`, or why they could not be told all",
    (*_STREAM, "result"),
)
replay_seconds: Final = Histogram(
    "eddyline_replay_seconds", "From coming back until live", _STREAM, buckets=_SECONDS
)
delivery_lag_seconds: Final = Histogram(
    "eddyline_delivery_lag_seconds",
    "From the journal's time of an event to its writing to an audience, each 10 ms at most; with "
    "Redis between two clocks",
    _STREAM,
    buckets=_SECONDS,
)
topics: Final = Gauge(
    "eddyline_topics",
    "Exact topics that somebody reads now",
    _STREAM,
    multiprocess_mode="livesum",
)
audiences: Final = Gauge(
    "eddyline_audiences",
    "Selections of topics that somebody reads now",
    _STREAM,
    multiprocess_mode="livesum",
)
upstream_connections: Final = Gauge(
    "eddyline_upstream_connections",
    "Connections open to the servers that answers come from, idle ones too",
    ("service",),
    multiprocess_mode="livesum",
)
bus_connects: Final = Counter(
    "eddyline_bus_connects", "Connections made to the bus (Redis): more than one means faults"
)
bus_gaps: Final = Counter(
    "eddyline_bus_gaps", "Times that the bus was found to have left something out"
)
bus_refilled: Final = Counter(
    "eddyline_bus_refilled_events", "Events read from the journal, at start and in place of the bus"
)
bus_proven_at: Final = Gauge(
    "eddyline_bus_proven_timestamp_seconds",
    "When a probe last came back over the bus, in unix seconds; 0 while it is not proven",
    # A label, so that only processes that have a bus have a value: not gunicorn's master.
    ("hub",),
    multiprocess_mode="livemin",
)
redis_memory: Final = Gauge(
    "eddyline_redis_memory_bytes",
    "Memory that the hub's Redis uses, as it says itself each 10 s",
    ("hub",),
    multiprocess_mode="livemax",
)
redis_memory_limit: Final = Gauge(
    "eddyline_redis_memory_limit_bytes",
    "`maxmemory` of the hub's Redis; 0: none",
    ("hub",),
    multiprocess_mode="livemax",
)
#: How publishing went: the outcomes of a journal, and the reasons that kept events from it.
Published = Literal["appended", "repeated", "conflict", "taken", "refused", "unavailable"]

published_events: Final = Counter(
    "eddyline_published_events",
    "Events that were appended, repeated (idempotency), in conflict with their key, refused, or "
    "unavailable (Redis is away)",
    ("outcome",),
)
#: The counters of the outcomes, looked up once.
published: Final = {outcome: published_events.labels(outcome) for outcome in get_args(Published)}
publish_seconds: Final = Histogram(
    "eddyline_publish_seconds", "One append to the journal, of one event or many", buckets=_SECONDS
)
soft_refusals: Final = Counter("eddyline_soft_refusals", "Event streams put off by 200 and retry")
problems: Final = Counter(
    "eddyline_problems", "Requests answered by a problem document", ("status",)
)
drain_seconds: Final = Gauge(
    "eddyline_drain_seconds",
    "How long the last drain took, or has taken so far",
    multiprocess_mode="mostrecent",
)
streams_limit: Final = Gauge(
    "eddyline_streams_limit",
    "Streams that may be open (EDDYLINE_LIMIT_STREAMS, of all workers); 0: any number",
    multiprocess_mode="livesum",
)
streams_refused: Final = Counter(
    "eddyline_streams_refused",
    "Streams beyond a limit: of the process, principal, address",
    ("limit",),
)
requests_refused: Final = Counter(
    "eddyline_requests_refused",
    "Requests that no app saw: beyond a limit, too slow, or not HTTP",
    ("reason",),
)
connections_waiting: Final = Gauge(
    "eddyline_connections_waiting",
    "Connections that wait for a request, or for the rest of one",
    multiprocess_mode="livesum",
)
memory: Final = Gauge(
    "eddyline_process_memory_bytes",
    "Resident memory, each 10 s as the other figures of the process",
    multiprocess_mode="livesum",
)
memory_limit: Final = Gauge(
    "eddyline_process_memory_limit_bytes",
    "Memory that there is: the container's limit, or the machine's",
    multiprocess_mode="livemax",
)
process_starts: Final = Counter(
    "eddyline_process_starts", "Processes, gunicorn's workers, that started"
)
process_ends: Final = Counter(
    "eddyline_process_ends",
    "Processes that ended in order: one that neither did nor is there was killed",
)
cpu_seconds: Final = Counter("eddyline_process_cpu_seconds", "CPU time, user and system")
open_files: Final = Gauge(
    "eddyline_process_open_files", "Open files, sockets too", multiprocess_mode="livesum"
)
open_files_limit: Final = Gauge(
    "eddyline_process_open_files_limit", "Files that may be open", multiprocess_mode="livesum"
)
event_loop_lag: Final = Histogram(
    "eddyline_event_loop_lag_seconds",
    "How late the event loop wakes a sleeping task, each second: all streams wait as long",
    buckets=_SECONDS,
)

# To Prometheus a counter that first appears with a value has not risen.
for _status in (429, 500, 502, 503):
    problems.labels(_status)
for _limit in ("process", "principal", "address"):
    streams_refused.labels(_limit)


class StreamMetrics:
    """The children of one service and kind, looked up once."""

    def __init__(self, service: str, kind: Kind) -> None:
        self.service = service
        self.kind = kind
        self.open: Final = streams_open.labels(service, kind)
        self.started: Final = streams_started.labels(service, kind)
        self.first_byte: Final = first_byte_seconds.labels(service, kind)
        self.seconds: Final = stream_seconds.labels(service, kind)
        self.bytes: Final = bytes_sent.labels(service, kind)
        self.events: Final = events_sent.labels(service, kind)
        self.slow_consumers: Final = slow_consumers.labels(service, kind)
        self.catch_up_reads: Final = catch_up_reads.labels(service, kind)
        self.replay: Final = replay_seconds.labels(service, kind)
        self.lag: Final = delivery_lag_seconds.labels(service, kind)
        self.topics: Final = topics.labels(service, kind)
        self.audiences: Final = audiences.labels(service, kind)
        self._resumed = cache(lambda result: resumes.labels(service, kind, result))
        self._reset = cache(lambda reason: resets.labels(service, kind, reason))
        # All at once: to Prometheus a counter that first appears with a value has not risen.
        self._ended = {r: streams_ended.labels(service, kind, r) for r in get_args(Reason)}
        if kind == "broadcast":
            self._resumed("complete")
            for gap in get_args(Gap):
                self._resumed(gap)
                self._reset(gap)

    def begin(self) -> None:
        self.open.inc()
        self.started.inc()

    def end(self, reason: Reason, seconds: float) -> None:
        self.open.dec()
        self.seconds.observe(seconds)
        self._ended[reason].inc()

    def resumed(self, result: str, seconds: float) -> None:
        """`result`: `complete`, or the gap that it was told."""
        self._resumed(result).inc()
        self.replay.observe(seconds)

    def reset(self, reason: str) -> None:
        self._reset(reason).inc()


class BusMetrics:
    """The children of one hub. Each is made when it is first used: a hub without a bus has none,
    and none reports a bus that was never proven.
    """

    connects = bus_connects
    gaps = bus_gaps
    refilled = bus_refilled

    def __init__(self, hub: str) -> None:
        self._hub = hub

    @cached_property
    def proven_at(self) -> Gauge:
        return bus_proven_at.labels(self._hub)

    @cached_property
    def memory(self) -> Gauge:
        return redis_memory.labels(self._hub)

    @cached_property
    def memory_limit(self) -> Gauge:
        return redis_memory_limit.labels(self._hub)


def exposition() -> bytes:
    """All metrics as text. Reads every worker's files in multiprocess mode: call it in a thread."""
    registry = REGISTRY
    if multiprocess():
        registry = CollectorRegistry(support_collectors_without_names=True)
        registry.register(WorkersCollector(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
    return generate_latest(registry)
