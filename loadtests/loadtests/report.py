"""`python -m loadtests.report`: docs/load.md of the last `make load-local`, from .load/run.json.

The client's figures, the server's beside them, and the cost of a stream and of an event.
"""

import argparse
import json
import platform
import sys
from collections.abc import Iterable
from pathlib import Path
from string import Template
from typing import Any

import psutil

from loadtests.local import (
    AGREE,
    SERVICES,
    client_events,
    client_open,
    middle_and_end,
    rates,
    server_open,
)

TEMPLATE = Path(__file__).with_name("load.md.template")

SIDES = ("client", "server")

Row = Iterable[object]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtests.report", description=__doc__)
    parser.add_argument("run", nargs="?", type=Path, default=Path(".load/run.json"))
    parser.add_argument("--to", type=Path, default=Path("docs/load.md"))
    options = parser.parse_args()
    run = json.loads(options.run.read_text())
    if not middle_and_end(run):
        sys.exit(f"{options.run}: the server's view is missing")
    options.to.write_text(report(run))


def report(run: dict[str, Any]) -> str:
    middle, end = middle_and_end(run)
    cores = psutil.cpu_count()
    client, *suite = (share(n, middle, end) for n in ("client", *SERVICES, "redis") if n in end)
    return Template(TEMPLATE.read_text()).substitute(
        command=run["command"],
        cores=cores,
        machine=f"{cores} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB,"
        f" Python {platform.python_version()}",
        streams=f"{client_open(run, end):,}",
        seconds=f"{run['elapsed']:.0f}",
        ramp=f"{run['elapsed'] - run['seconds']:.0f}",
        hold=f"{run['seconds']:.0f}",
        verdict="; ".join(run["verdict"]) or "passed",
        kinds=kinds(run),
        histograms=histograms(run),
        agree=f"{AGREE * 100:.0f} %",
        views=views(run, (middle, end)),
        costs=costs(run, middle, end),
        client=f"{client:.0%}",
        suite=f"{sum(suite):.0%}",
        copies=f"{copies(run, end):,.0f}",
    )


def kinds(run: dict[str, Any]) -> str:
    names = (
        "received",
        "lost",
        "repeated",
        "reordered",
        "stalled",
        "dirty",
        "reconnects",
        "refused",
    )
    found = ((kind, *(f"{counts[n]:,}" for n in names)) for kind, counts in run["kinds"].items())
    return table(("kind", *names), found)


def histograms(run: dict[str, Any]) -> str:
    parts = ("p50", "p90", "p99", "p999", "max")
    found = (
        (name, f"{entry['count']:,}", *(f"{entry[part] * 1000:,.1f}" for part in parts))
        for name, entry in run["histograms"].items()
        if entry["count"]
    )
    return table(("milliseconds", "samples", *parts), found)


def views(run: dict[str, Any], samples: Iterable[dict[str, Any]]) -> str:
    rows = []
    for sample in samples:
        opened = (client_open(run, sample), server_open(sample))
        events = (client_events(run, sample), sample["events"]["events"])
        figures = (*opened, *events, *rates(run, sample))
        rows.append((f"{sample['t']:.0f} s", *(f"{figure:,.0f}" for figure in figures)))
    sides = [f"{what}, {side}" for what in ("open", "events", "events/s") for side in SIDES]
    return table(("after", *sides), rows)


def copies(run: dict[str, Any], end: dict[str, Any]) -> float:
    """How many subscribers one event went to."""
    published = run["knobs"]["publishers"] * run["knobs"]["publish_rate"]
    return rates(run, end)[1] / published if published else 0.0


def share(name: str, middle: dict[str, Any], end: dict[str, Any]) -> float:
    """Of a core, in the second half."""
    seconds = end["t"] - middle["t"]
    return float((end[name]["cpu"] - middle[name]["cpu"]) / seconds) if seconds else 0.0


def costs(run: dict[str, Any], middle: dict[str, Any], end: dict[str, Any]) -> str:
    """Of the second half, in which nothing is built up any more; memory since the start."""
    first = run["server"][0]
    received = client_events(run, end) - client_events(run, middle)
    rows = []
    for name in (*SERVICES, "redis", "client"):
        if name not in end:
            continue
        cpu = end[name]["cpu"] - middle[name]["cpu"]
        grown = end[name]["memory"] - first[name]["memory"]
        opened = end[name].get("open", 0) - first[name].get("open", 0)
        sent = end[name].get("events", 0) - middle[name].get("events", 0)
        events = received if name == "client" else sent
        rows.append(
            (
                name,
                f"{end[name].get('open', 0):,.0f}",
                f"{share(name, middle, end):.0%}",
                f"{end[name]['memory'] / 2**20:,.0f} MiB",
                f"{grown / opened / 1000:.1f} kB" if opened >= 100 else "",
                f"{cpu / events * 1e6:.0f} µs" if events >= 1000 else "",
            )
        )
    head = (
        "process",
        "open streams",
        "of a core",
        "memory",
        "memory a stream",
        "CPU an event",
    )
    return table(head, rows)


def table(head: Row, rows: Iterable[Row]) -> str:
    lines = [tuple(str(cell) for cell in row) for row in (head, *rows)]
    lines.insert(1, ("---",) * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
