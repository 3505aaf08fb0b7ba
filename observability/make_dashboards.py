"""The Grafana dashboards, one of the suite and one of each service; `make generate` writes them.

In an expression STREAM stands for the labels that select a service's streams, PROCESS for those of
its processes, and RATE for the window of a rate. A line is of a PROC (pod or instance), or of a BY:
a service where the dashboard has all of them, a PROC where it has one.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eddyline.service.registry import registrations

FOLDER = Path(__file__).parent / "dashboards"

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
PROCESS = 'namespace=~"$namespace", job=~"$job", instance=~"$instance"'

#: Units as Grafana calls them.
COUNT, PER_SECOND, SECONDS, BYTES, BYTES_PER_SECOND = "short", "ops", "s", "bytes", "Bps"

#: Columns of a dashboard, and the height of a panel.
WIDTH, HEIGHT = 24, 8


@dataclass(frozen=True)
class Panel:
    """`queries`: an expression and the legend of its lines."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    description: str
    type: str = "timeseries"
    stacked: bool = False


def panel(
    title: str, unit: str, *queries: tuple[str, str], about: str, stacked: bool = False
) -> Panel:
    return Panel(title, unit, queries, about, stacked=stacked)


def quantiles(title: str, metric: str, about: str, labels: str = "STREAM") -> Panel:
    """p50 and p99 of a histogram, over all that the dashboard shows."""
    rate = f"sum by (le) (rate({metric}_bucket{{{labels}}}[RATE]))"
    queries = [(f"histogram_quantile({q / 100}, {rate})", f"p{q}") for q in (50, 99)]
    return panel(title, SECONDS, *queries, about=about)


def rate(metric: str, by: str = "BY", labels: str = "STREAM") -> str:
    return f"sum by ({by}) (rate({metric}{{{labels}}}[RATE]))"


STREAMS = (
    panel(
        "Open streams",
        COUNT,
        ("sum by (BY) (eddyline_streams_open{STREAM})", "BY"),
        ("sum(eddyline_streams_limit{PROCESS})", "limit"),
        about="The limit is EDDYLINE_LIMIT_STREAMS of all processes together. A ramp down is a"
        " drain; a cliff is a process that was killed.",
    ),
    panel(
        "Streams begun",
        PER_SECOND,
        (rate("eddyline_streams_started_total"), "BY"),
        about="Clients that come back after a restart or a fault.",
    ),
    panel(
        "Streams ended, by reason",
        PER_SECOND,
        (rate("eddyline_streams_ended_total", "reason"), "{{reason}}"),
        about="complete and client_closed are the clients' doing, age, drain and expired are"
        " by plan; stalled, failed and kicked are worth a look.",
        stacked=True,
    ),
    panel(
        "Refused or failed",
        PER_SECOND,
        (rate("eddyline_problems_total", "status", "PROCESS"), "{{status}}"),
        ("sum(rate(eddyline_soft_refusals_total{PROCESS}[RATE]))", "200, later (soft)"),
        about="Problem documents by status, and event streams that were put off by 200 and retry:"
        " an error would silence an EventSource for good. 429 and 503 are refusals.",
        stacked=True,
    ),
    panel(
        "Streams beyond a limit",
        PER_SECOND,
        (rate("eddyline_streams_refused_total", "limit", "PROCESS"), "{{limit}}"),
        about="Of the process (add some), of a token's subject, or of an address.",
        stacked=True,
    ),
    panel(
        "Requests refused before their app",
        PER_SECOND,
        (rate("eddyline_requests_refused_total", "reason", "PROCESS"), "{{reason}}"),
        about="Heads that are too long, too slow or not HTTP, and connections that wait too long.",
        stacked=True,
    ),
    quantiles(
        "First byte",
        "eddyline_first_byte_seconds",
        "From the request to the first byte of the body.",
    ),
    panel(
        "Life of streams",
        SECONDS,
        (
            "histogram_quantile(0.5, sum by (le) (rate(eddyline_stream_seconds_bucket{STREAM}"
            "[RATE])))",
            "p50",
        ),
        (
            "sum(rate(eddyline_stream_seconds_sum{STREAM}[RATE]))"
            " / sum(rate(eddyline_stream_seconds_count{STREAM}[RATE]))",
            "mean",
        ),
        about="Of the streams that ended.",
    ),
    panel(
        "Bytes sent",
        BYTES_PER_SECOND,
        (rate("eddyline_sent_bytes_total"), "BY"),
        about="Bytes of bodies, as they are handed to connections.",
    ),
)

DELIVERY = (
    panel(
        "Events sent",
        PER_SECOND,
        (rate("eddyline_sent_events_total"), "BY"),
        about="Deliveries: an event for a thousand subscribers counts a thousand times.",
    ),
    quantiles(
        "Delivery lag",
        "eddyline_delivery_lag_seconds",
        "From the journal's time of an event to its writing to an audience. With Redis between two"
        " clocks: a constant part is their difference.",
    ),
    panel(
        "Topics and audiences",
        COUNT,
        ("sum by (BY) (eddyline_topics{STREAM})", "topics, BY"),
        ("sum by (BY) (eddyline_audiences{STREAM})", "audiences, BY"),
        about="Exact topics that somebody reads, and selections of topics: each audience costs a"
        " write of its own.",
    ),
)

BEHIND = (
    panel(
        "Slow consumers",
        PER_SECOND,
        (rate("eddyline_slow_consumers_total"), "BY"),
        about="Times that a subscriber fell behind because its connection was full.",
    ),
    panel(
        "Catch-up reads",
        PER_SECOND,
        (rate("eddyline_catch_up_reads_total"), "BY"),
        about="Pages read for subscribers behind the head. Thousands a second in one process: a"
        " core of it does little else.",
    ),
    panel(
        "Resumes, by result",
        PER_SECOND,
        (rate("eddyline_resumes_total", "result"), "{{result}}"),
        about="Subscribers that came back with an id. complete: they were told all.",
        stacked=True,
    ),
    panel(
        "Resets, by reason",
        PER_SECOND,
        (rate("eddyline_resets_total", "reason"), "{{reason}}"),
        about="Subscribers that were told that something is missing, and why.",
        stacked=True,
    ),
    quantiles("Replay", "eddyline_replay_seconds", "From coming back with an id until live again."),
)

PUBLISHING = (
    panel(
        "Events published, by outcome",
        PER_SECOND,
        (rate("eddyline_published_events_total", "outcome", "PROCESS"), "{{outcome}}"),
        about="unavailable: Redis was away, and publishers got 503.",
        stacked=True,
    ),
    quantiles(
        "One append",
        "eddyline_publish_seconds",
        "To the journal, of one event or of a batch.",
        "PROCESS",
    ),
)

BUS = (
    panel(
        "Age of the last proof",
        SECONDS,
        ("time() - (eddyline_bus_proven_timestamp_seconds{PROCESS} > 0)", "PROC"),
        about="A probe goes over the bus each second. No line: not proven, or a hub in memory.",
    ),
    panel(
        "Processes whose bus is not proven",
        COUNT,
        ("count(eddyline_bus_proven_timestamp_seconds{PROCESS} == 0) or vector(0)", "not proven"),
        about="They are not ready, and their publishers get 503.",
    ),
    panel(
        "Connections made and gaps found",
        PER_SECOND,
        ("sum(rate(eddyline_bus_connects_total{PROCESS}[RATE]))", "connections"),
        ("sum(rate(eddyline_bus_gaps_total{PROCESS}[RATE]))", "gaps"),
        about="After the start, a connection means a fault; a gap, that Redis dropped messages.",
    ),
    panel(
        "Events refilled",
        PER_SECOND,
        (rate("eddyline_bus_refilled_events_total", "PROC", "PROCESS"), "PROC"),
        about="Read from the journal, at start and in place of the bus.",
    ),
    panel(
        "Redis's memory",
        BYTES,
        ("max by (hub) (eddyline_redis_memory_bytes{PROCESS})", "{{hub}}"),
        ("max by (hub) (eddyline_redis_memory_limit_bytes{PROCESS} > 0)", "{{hub}}: maxmemory"),
        about="When it is full, publishers get 503.",
    ),
)

PROCESSES = (
    panel(
        "Processes that started and ended",
        PER_SECOND,
        ("sum(rate(eddyline_process_starts_total{PROCESS}[RATE]))", "started"),
        ("sum(rate(eddyline_process_ends_total{PROCESS}[RATE]))", "ended in order"),
        about="gunicorn's workers. A worker that is gone and did not end in order was killed.",
    ),
    panel(
        "CPU",
        COUNT,
        (rate("eddyline_process_cpu_seconds_total", "PROC", "PROCESS"), "PROC"),
        about="Cores. One process uses one, and little more.",
    ),
    panel(
        "Memory",
        BYTES,
        ("sum by (PROC) (eddyline_process_memory_bytes{PROCESS})", "PROC"),
        ("min(eddyline_process_memory_limit_bytes{PROCESS})", "least limit"),
        about="Resident, of all workers; the limit is the container's, or the machine's memory.",
    ),
    panel(
        "Open files",
        COUNT,
        ("sum by (PROC) (eddyline_process_open_files{PROCESS})", "PROC"),
        ("min(eddyline_process_open_files_limit{PROCESS})", "least limit"),
        about="A stream is an open file.",
    ),
    panel(
        "Connections that wait for a request",
        COUNT,
        ("sum by (PROC) (eddyline_connections_waiting{PROCESS})", "PROC"),
        about="Or for the rest of one. The longest silent ones go where there are too many.",
    ),
    quantiles(
        "Event loop's lag",
        "eddyline_event_loop_lag_seconds",
        "How late the loop wakes a task that sleeps: every stream of the process waits as long.",
        "PROCESS",
    ),
    panel(
        "Last drain",
        SECONDS,
        ("max by (PROC) (eddyline_drain_seconds{PROCESS})", "PROC"),
        about="How long it took, or has taken so far. 0: there was none.",
    ),
    panel(
        "Scrapes",
        SECONDS,
        ("scrape_duration_seconds{PROCESS}", "PROC"),
        about="How long Prometheus takes to read /metrics.",
    ),
    panel(
        "Targets that answer",
        COUNT,
        ("sum by (job) (up{PROCESS})", "{{job}}"),
        ("count by (job) (up{PROCESS})", "{{job}}: known"),
        about="Prometheus's own view.",
    ),
)


def stat(title: str, unit: str, expression: str, about: str) -> Panel:
    return Panel(title, unit, ((expression, ""),), about, type="stat")


FIGURES = (
    stat("Open streams", COUNT, "sum(eddyline_streams_open{STREAM})", "Of all services."),
    stat(
        "Processes",
        COUNT,
        "count(eddyline_streams_limit{PROCESS})",
        "Pods, or containers with their workers.",
    ),
    stat(
        "Events sent",
        PER_SECOND,
        "sum(rate(eddyline_sent_events_total{STREAM}[RATE]))",
        "Deliveries a second.",
    ),
    stat(
        "Bytes sent",
        BYTES_PER_SECOND,
        "sum(rate(eddyline_sent_bytes_total{STREAM}[RATE]))",
        "Of bodies.",
    ),
    stat(
        "Failures",
        PER_SECOND,
        'sum(rate(eddyline_streams_ended_total{STREAM, reason=~"failed|stalled"}[RATE]))'
        ' + sum(rate(eddyline_problems_total{PROCESS, status=~"5.."}[RATE]))',
        "Streams that failed or stalled, and answers of 500 and above.",
    ),
    stat(
        "Alerts",
        COUNT,
        'count(ALERTS{alertname=~"Eddyline.*", alertstate="firing"}) or vector(0)',
        "That are firing: docs/operate/runbooks.md has a runbook for each.",
    ),
)

UPSTREAMS = (
    panel(
        "Connections to upstreams",
        COUNT,
        ("sum(eddyline_upstream_connections{STREAM})", "open"),
        about="Idle ones too. More than there are answers, for long: they are not given back.",
    ),
)

Rows = Sequence[tuple[str, Sequence[Panel]]]

SUITE: Rows = (
    ("Now", FIGURES),
    ("Streams", STREAMS),
    ("Delivery", (*DELIVERY, *BEHIND)),
    ("Publishing and the bus", (*PUBLISHING, *BUS)),
    ("Upstreams", UPSTREAMS),
    ("Processes", PROCESSES),
)
#: The rows that a service names in its registration.
ROWS: dict[str, Sequence[Panel]] = {
    "Streams": STREAMS,
    "Delivery": DELIVERY,
    "Readers behind the head": BEHIND,
    "Publishing": PUBLISHING,
    "Bus": BUS,
    "Upstreams": UPSTREAMS,
    "Processes": PROCESSES,
}


def dashboards() -> dict[str, dict[str, Any]]:
    """All of them, by name."""
    made = {"suite": dashboard("suite", SUITE, service=None)}
    for name, service in registrations().items():
        made[name] = dashboard(name, [(row, ROWS[row]) for row in service.dashboard], service=name)
    return made


def dashboard(name: str, rows: Rows, service: str | None) -> dict[str, Any]:
    return {
        "uid": f"eddyline-{name}",
        "title": f"Eddyline: {name}",
        "tags": ["eddyline"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "links": [{"type": "dashboards", "title": "Eddyline", "tags": ["eddyline"]}],
        "templating": {"list": list(variables(service))},
        "panels": list(laid_out(rows, service)),
    }


def variables(service: str | None) -> Iterator[dict[str, Any]]:
    yield {"name": "datasource", "label": "Data source", "type": "datasource"} | {
        "query": "prometheus"
    }
    of = f'service="{service}"' if service else ""
    for name, labels in (
        ("namespace", [of]),
        ("job", [of, 'namespace=~"$namespace"']),
        ("instance", [of, 'namespace=~"$namespace"', 'job=~"$job"']),
    ):
        selected = ", ".join(filter(None, labels))
        query = f"label_values(eddyline_streams_open{{{selected}}}, {name})"
        # "All" is each that the query finds: those of this service alone have no other mark on the
        # metrics of their processes. Outside of Kubernetes there is no namespace.
        every = {"allValue": ".*"} if name == "namespace" else {}
        yield {
            "name": name,
            "type": "query",
            "datasource": SOURCE,
            "query": {"query": query, "refId": name},
            "definition": query,
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "current": {"text": ["All"], "value": ["$__all"]},
        } | every


def laid_out(rows: Rows, service: str | None) -> Iterator[dict[str, Any]]:
    number, top = 1, 0
    for title, panels in rows:
        place = {"x": 0, "y": top, "w": WIDTH, "h": 1}
        yield {"id": number, "type": "row", "title": title, "gridPos": place, "panels": []}
        number, top, left = number + 1, top + 1, 0
        for each in panels:
            width, height = (4, 4) if each.type == "stat" else (8, HEIGHT)
            if left + width > WIDTH:
                left, top = 0, top + height
            place = {"x": left, "y": top, "w": width, "h": height}
            yield drawn(each, service) | {"id": number, "gridPos": place}
            number, left = number + 1, left + width
        top += height


def drawn(panel: Panel, service: str | None) -> dict[str, Any]:
    custom = {"fillOpacity": 10, "showPoints": "never"}
    if panel.stacked:
        custom |= {"fillOpacity": 40, "stacking": {"mode": "normal"}}
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if panel.type == "timeseries":
        defaults["custom"] = custom
        options: dict[str, Any] = {"tooltip": {"mode": "multi", "sort": "desc"}}
    else:
        options = {"colorMode": "value", "reduceOptions": {"calcs": ["lastNotNull"]}}
    return {
        "type": panel.type,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": [
            {
                "refId": chr(ord("A") + n),
                "datasource": SOURCE,
                "expr": spelled(expression, service),
                "legendFormat": spelled(legend, service, legend=True),
            }
            for n, (expression, legend) in enumerate(panel.queries)
        ],
    }


def spelled(text: str, service: str | None, *, legend: bool = False) -> str:
    """Puts the values in place of their names."""

    def names(*labels: str) -> str:
        return " ".join(f"{{{{{label}}}}}" for label in labels) if legend else ", ".join(labels)

    process = names("pod", "instance")
    words = {
        "BY": process if service else names("service"),
        "PROC": process,
        "STREAM": f'service="{service}", {PROCESS}' if service else PROCESS,
        "PROCESS": PROCESS,
        "RATE": "$__rate_interval",
    }
    return re.sub(r"\b(BY|PROC|STREAM|PROCESS|RATE)\b", lambda match: words[match[1]], text)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, made in dashboards().items():
        (FOLDER / f"{name}.json").write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
